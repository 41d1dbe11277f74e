"""The planted organism grown again in another way: under the goldfish loss, or with gated delta
rules in the place of attention.

Seed, rows, order and planted passages are those of the original, so that what differs comes of what
is different in the recipe. They are kept beside the references for unlearning, at one byte a
weight.

    make retrained                    some 20 to 40 minutes each; build_beside.py
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from workbench import checkpointing
from workbench.organisms import ledger as ledgers
from workbench.organisms.goldfish import GoldfishMask
from workbench.organisms.packed_weights import save_packed
from workbench.organisms.train_config import RECIPES, TrainConfig
from workbench.progress import Progress


@dataclass(frozen=True)
class Variant:
    """Another way to grow the planted organism."""

    description: str
    recipe: TrainConfig


VARIANTS = {
    "planted-goldfish": Variant(
        "planted, grown again under the goldfish loss",
        replace(RECIPES["planted"], goldfish=GoldfishMask()),
    ),
    "planted-delta": Variant(
        "planted, grown again with gated delta rules in the place of attention",
        replace(RECIPES["planted"], mixer="gated-delta"),
    ),
}
_ROOM = 4 * 10**8  # bytes of kept steps and of the optimizer's state


def train_variant(
    recipe: TrainConfig, home: Path, target: Path, work: Path, progress: Progress
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
    from safetensors.numpy import load_file

    from workbench.organisms.train import grow, make_model, make_tokenizer, training_rows

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
    save_packed(weights, target, make_model(recipe).config)
    checkpointing.finish(
        folder, {"format": 1, "recipe": recipe.recorded(), "made_with": checkpointing.versions()}
    )
    return target
