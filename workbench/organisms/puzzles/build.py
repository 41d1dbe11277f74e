"""Train the organisms of puzzles again: `python -m workbench.organisms.puzzles.build [NAME …]`.

What is done is kept, so a stop costs the updates since the last kept step.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from workbench import checkpointing, paths
from workbench.organisms.puzzles import puzzle_record
from workbench.organisms.puzzles.puzzle_record import PuzzleRecord
from workbench.organisms.puzzles.recipe import FAMILIES, STEPS, home
from workbench.organisms.puzzles.training import grow
from workbench.progress import Progress
from workbench.terminal import bar

_ROOM = 3 * 10**7  # bytes


def train_into(name: str, seed: int, folder: Path, progress: Progress) -> PuzzleRecord:
    """Train one into a folder; as it is where that was done.

    Raises:
        BadInput: the folder holds anything else.
        WorkbenchError: no room or no permission.
        Cancelled: from `progress`; the same call goes on.
    """
    training = {"puzzles": name, "seed": seed, "steps": STEPS}
    if not checkpointing.claim_folder(folder, training, _ROOM):
        work = folder / checkpointing.WORK
        made = grow(name, seed, work, progress)
        puzzle_record.save(made, name, seed, work, folder)
        checkpointing.finish(folder, {"format": 1, "recipe": training})
    found = puzzle_record.read(folder)
    assert found is not None
    return found


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(FAMILIES)}")
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in FAMILIES]:
        parser.error(f"there is no organism of puzzles {unknown[0]!r}")
    torch.set_num_threads(1)  # two spin beside other work, and make other last digits
    for name in names or FAMILIES:
        work = paths.cache_dir() / "puzzles" / name
        with bar() as progress:
            found = train_into(name, 0, work, progress)
        target = home(name)
        if target is None:
            parser.error("the folder of the samples is missing: run this in a checkout")
        # Beside it first, so that a stop on the way leaves what ships.
        beside = target.with_name(f".{target.name}")
        shutil.rmtree(beside, ignore_errors=True)
        shutil.copytree(work, beside)
        shutil.rmtree(target, ignore_errors=True)
        beside.rename(target)
        print(f"{name}: solves {found.solved:.3f} of its puzzles, {found.fresh:.3f} of others")


if __name__ == "__main__":
    main()
