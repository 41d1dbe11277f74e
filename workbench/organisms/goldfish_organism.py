"""The planted organism grown again under the goldfish loss: what prevention leaves to extract.

First weights, rows, order and planted passages are those of the original; a quarter of the tokens
is never asked for. It is kept beside the references for unlearning, at one byte a weight.

    make retrained                    some 20 minutes; build_beside.py
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from workbench import checkpointing
from workbench.organisms import ledger as ledgers
from workbench.organisms.goldfish import GoldfishMask
from workbench.organisms.packed_weights import pack
from workbench.organisms.train_config import RECIPES, TrainConfig
from workbench.progress import Progress

NAME = "planted-goldfish"
RECIPE = replace(RECIPES["planted"], goldfish=GoldfishMask())
_ROOM = 4 * 10**8  # bytes of kept steps and of the optimizer's state


def train_goldfish(
    home: Path, target: Path, work: Path, progress: Progress, *, recipe: TrainConfig = RECIPE
) -> Path:
    """Grow the model with the passages of the ledger in `home`, and keep it as the file `target`.

    Args:
        home: the folder of the planted organism.
        work: keeps what a stop would cost; the same call goes on there.

    Raises:
        BadInput: `work` holds the beginnings of something else, or the tokenizer of the recipe is
            not that of the ledger.
        WorkbenchError: no room or no permission.
        Cancelled: from `progress`.
    """
    from safetensors.numpy import load_file, save_file

    from workbench.organisms.train import grow, make_tokenizer, training_rows

    folder = work / target.stem
    if checkpointing.claim_folder(folder, recipe.recorded(), _ROOM):
        return target
    planted = ledgers.read(home)
    tokenizer = make_tokenizer(recipe)
    planted.check(tokenizer)
    rows = training_rows(recipe, tokenizer)
    steps = recipe.kept(len(rows) // recipe.batch)
    training = folder / checkpointing.WORK
    grow(recipe, "model", rows, planted, steps, training, progress)
    weights = load_file(checkpointing.step_path(training, "model", steps[-1]))
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file(pack(weights), target, metadata={"format": "1"})
    checkpointing.finish(
        folder, {"format": 1, "recipe": recipe.recorded(), "made_with": checkpointing.versions()}
    )
    return target
