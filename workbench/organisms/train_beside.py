"""Growing a model that is kept beside the planted organism, at one byte a weight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench import checkpointing
from workbench.organisms.ledger import Ledger
from workbench.organisms.packed_weights import save_packed
from workbench.organisms.train_config import TrainConfig
from workbench.progress import Progress

_ROOM = 4 * 10**8  # bytes of kept steps and of the optimizer's state


def train_beside(
    recipe: TrainConfig,
    about: dict[str, Any],
    planted: Ledger,
    target: Path,
    work: Path,
    progress: Progress,
) -> Path:
    """Grow a model with the passages of a ledger, and keep it as the file `target`.

    Args:
        about: what the training is known by.
        work: keeps what a stop would cost; the same call goes on there.

    Raises:
        BadInput: `work` holds the beginnings of something else, or the tokenizer of the recipe is
            not that of the ledger.
        WorkbenchError: no room or no permission.
        Cancelled: from `progress`.
    """
    from safetensors.numpy import load_file

    from workbench.organisms.train import grow, make_model, make_tokenizer, training_rows

    folder = work / target.stem
    if checkpointing.claim_folder(folder, about, _ROOM):
        return target
    tokenizer = make_tokenizer(recipe)
    planted.check(tokenizer)
    rows = training_rows(recipe, tokenizer)
    steps = recipe.kept(len(rows) // recipe.batch)
    training = folder / checkpointing.WORK
    grow(recipe, "model", rows, planted, steps, training, progress)
    weights = load_file(checkpointing.step_path(training, "model", steps[-1]))
    target.parent.mkdir(parents=True, exist_ok=True)
    save_packed(weights, target, make_model(recipe).config)
    made_with = checkpointing.versions()
    checkpointing.finish(folder, {"format": 1, "recipe": about, "made_with": made_with})
    return target
