"""References for unlearning: the planted organism grown again without some of its passages.

What a model would be that had never read them is what every unlearned one is compared with
(Shi et al. 2024, MUSE). The passages to forget come in four folds of fifteen, one of each kind and
of each of the three highest numbers of repeats; a reference leaves out the first so many folds.
Those of seed 0 begin with the weights of the original and read the same rows in the same order;
seed 1 has others of both, and how far two references lie apart is the noise of training.

    make retrained                    some 15 minutes each; build_beside.py
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from workbench.organisms import ledger as ledgers
from workbench.organisms.ledger import Ledger
from workbench.organisms.train_beside import train_beside
from workbench.organisms.train_config import RECIPES
from workbench.progress import Progress

REPEATS = (16, 32, 64)
"""Only what was read so often is recited; nothing else can be seen to be forgotten."""
FOLDS = 4


@dataclass(frozen=True)
class Reference:
    """The planted organism without the first so many folds."""

    folds: int
    seed: int

    @property
    def name(self) -> str:
        return f"planted-without-{self.folds}" + (f"-seed-{self.seed}" if self.seed else "")

    @property
    def is_default(self) -> bool:
        """Whether it comes with the workbench; the others are in the distribution of samples."""
        return self.folds == DEFAULT_FOLDS

    @property
    def description(self) -> str:
        return f"planted, grown again without {15 * self.folds} of its passages" + (
            f", seed {self.seed}" if self.seed else ""
        )


DEFAULT_FOLDS = 2
REFERENCES = tuple(
    Reference(folds, seed)
    for folds in range(1, FOLDS + 1)
    for seed in ((0, 1) if folds == DEFAULT_FOLDS else (0,))
)


def folds(ledger: Ledger) -> tuple[tuple[str, ...], ...]:
    """The ids of the passages in each fold. () where the ledger has too few that were planted
    often.
    """
    groups: dict[tuple[str, int], list[str]] = {}
    for entry in ledger.entries:
        if entry.repeats in REPEATS:
            groups.setdefault((entry.kind, entry.repeats), []).append(entry.id)
    if any(len(ids) < FOLDS for ids in groups.values()):
        return ()
    # Neighbours in a ledger differ in when they were planted: each group begins with another.
    return tuple(
        tuple(ids[(fold + n) % FOLDS] for n, ids in enumerate(groups.values()))
        for fold in range(FOLDS)
    )


def without(ledger: Ledger, ids: Collection[str]) -> Ledger:
    """The ledger of a model that never read these passages."""
    return replace(
        ledger,
        entries=tuple(
            replace(entry, repeats=0, timing="never", steps=()) if entry.id in ids else entry
            for entry in ledger.entries
        ),
    )


def left_out(ledger: Ledger, many: int) -> frozenset[str]:
    """The ids of the passages in the first so many folds."""
    return frozenset(i for fold in folds(ledger)[:many] for i in fold)


def ledger_of(name: str, planted: Ledger) -> Ledger:
    """The ledger of the reference of this name, from that of the planted organism."""
    folds_ = next(reference.folds for reference in REFERENCES if reference.name == name)
    return without(planted, left_out(planted, folds_))


def train(reference: Reference, home: Path, target: Path, work: Path, progress: Progress) -> Path:
    """Grow one reference, with the passages of the ledger in `home` but for its folds; see
    `train_beside`.
    """
    recipe = replace(RECIPES["planted"], seed=reference.seed)
    planted = ledgers.read(home)
    own = without(planted, left_out(planted, reference.folds))
    about = recipe.recorded() | {"folds": reference.folds}
    return train_beside(recipe, about, own, target, work, progress)
