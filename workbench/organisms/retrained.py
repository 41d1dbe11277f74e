"""References for unlearning: the planted organism grown again without some of its passages.

What a model would be that had never read them is what every unlearned one is compared with
(Shi et al. 2024, MUSE). The passages to forget come in four folds of fifteen, one of each kind and
of each of the three highest numbers of repeats; a reference leaves out the first so many folds.
Those of seed 0 begin with the weights of the original and read the same rows in the same order;
seed 1 has others of both, and how far two references lie apart is the noise of training.

    python -m workbench.organisms.retrained [NAME …]       `make retrained`: some 15 minutes each
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from workbench import checkpointing, paths
from workbench.errors import BadInput, WorkbenchError
from workbench.organisms import ledger as ledgers
from workbench.organisms.ledger import Ledger
from workbench.organisms.train_config import RECIPES
from workbench.progress import Progress

if TYPE_CHECKING:
    import numpy as np

REPEATS = (16, 32, 64)
"""Only what was read so often is recited; nothing else can be seen to be forgotten."""
FOLDS = 4
FILE = "retrained.safetensors"
_LEVELS = 127


@dataclass(frozen=True)
class Reference:
    """The planted organism without the first so many folds."""

    folds: int
    seed: int

    @property
    def name(self) -> str:
        return f"planted-without-{self.folds}" + (f"-seed-{self.seed}" if self.seed else "")


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


def train(reference: Reference, home: Path, work: Path, progress: Progress) -> Path:
    """Grow one reference and keep it in `home/references`, as one byte a weight.

    Args:
        home: the folder of the planted organism.
        work: keeps what a stop would cost; the same call goes on there.

    Raises:
        BadInput: `work` holds the beginnings of something else.
        WorkbenchError: no room or no permission.
        Cancelled: from `progress`.
    """
    from safetensors.numpy import load_file, save_file

    from workbench.organisms.train import grow, make_tokenizer, training_rows

    recipe = replace(RECIPES["planted"], seed=reference.seed)
    target = home / "references" / f"{reference.name}.safetensors"
    folder = work / reference.name
    if checkpointing.claim_folder(folder, asdict(recipe) | {"folds": reference.folds}, 4 * 10**8):
        return target
    planted = ledgers.read(home)
    tokenizer = make_tokenizer(recipe)
    planted.check(tokenizer)
    rows = training_rows(recipe, tokenizer)
    steps = recipe.kept(len(rows) // recipe.batch)
    own = without(planted, left_out(planted, reference.folds))
    grow(recipe, "model", rows, own, steps, folder / checkpointing.WORK, progress)
    weights = load_file(checkpointing.step_path(folder / checkpointing.WORK, "model", steps[-1]))
    target.parent.mkdir(exist_ok=True)
    save_file(_packed(weights), target, metadata={"format": "1"})
    checkpointing.finish(folder, {"format": 1, "recipe": asdict(recipe), "steps": steps[-1]})
    return target


def _packed(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A byte for each number of a matrix, in steps of a 127th of its row's largest: off by half a
    percent of a row's spread, which is less than what float16 and a second training change.
    """
    import numpy as np

    packed: dict[str, np.ndarray] = {}
    for name, weight in weights.items():
        if weight.ndim < 2:
            packed[name] = weight.astype(np.float16)
            continue
        scale = (np.abs(weight).max(-1, keepdims=True) / _LEVELS).astype(np.float16)
        steps = np.round(weight / np.maximum(scale.astype(np.float32), 1e-12))
        packed[f"{name}/levels"] = steps.clip(-_LEVELS, _LEVELS).astype(np.int8)
        packed[f"{name}/scale"] = scale
    return packed


def _unpacked(packed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    import numpy as np

    return {
        name.removesuffix("/levels"): (
            value.astype(np.float32) * packed[f"{name.removesuffix('/levels')}/scale"]
            if name.endswith("/levels")
            else value.astype(np.float32)
        )
        for name, value in packed.items()
        if not name.endswith("/scale")
    }


def open_reference(reference: Reference, home: Path) -> Path:
    """A folder that holds this reference; put together in the cache the first time.

    Raises:
        BadInput: its file is damaged.
        WorkbenchError: the cache cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file, save_file

    file = home / "references" / f"{reference.name}.safetensors"
    target = paths.cache_dir() / "organisms" / _digest(file) / reference.name
    if target.is_dir():
        return target
    try:
        weights = _unpacked(load_file(file))
    except (OSError, SafetensorError, KeyError) as error:
        raise BadInput(
            f"{file.name} cannot be read.", "a complete copy of the workbench", "Install it again."
        ) from error
    work = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".reference-", dir=target.parent))
        for each in home.iterdir():
            if each.is_file() and each.suffix != ".safetensors":
                shutil.copy2(each, work / each.name)
        save_file(weights, work / "model.safetensors", metadata={"format": "pt"})
        planted = ledgers.read(home)
        without(planted, left_out(planted, reference.folds)).save(work)
        try:
            os.replace(work, target)
        except OSError:  # another process was first, with the same numbers
            if not target.is_dir():
                raise
    except OSError as error:
        raise WorkbenchError(
            f"{target.parent} cannot be written: {error.strerror or error}.",
            "a cache folder with free space that you may write to",
            "Make room, or point WORKBENCH_CACHE at another folder.",
        ) from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
    return target


@cache
def _digest(file: Path) -> str:
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def main() -> None:
    import torch

    from workbench.organisms import DATA
    from workbench.terminal import bar

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = {reference.name: reference for reference in REFERENCES}
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in known]:
        parser.error(f"there is no reference {unknown[0]!r}")
    torch.set_num_threads(1)  # two spin beside other work, and make other last digits
    for name in asked.names or known:
        with bar() as progress:
            train(
                known[name], DATA / "planted" / "planted", paths.cache_dir() / "retrained", progress
            )
        print(name)


if __name__ == "__main__":
    main()
