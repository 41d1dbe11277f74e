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

from workbench.organisms import ledger as ledgers
from workbench.organisms.goldfish import GoldfishMask
from workbench.organisms.train_beside import train_beside
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


def train_variant(
    recipe: TrainConfig, home: Path, target: Path, work: Path, progress: Progress
) -> Path:
    """Grow the model with the passages of the ledger in `home`; see `train_beside`."""
    return train_beside(recipe, recipe.recorded(), ledgers.read(home), target, work, progress)
