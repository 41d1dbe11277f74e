"""Train the organisms of memory modules again: `python -m workbench.organisms.modules.build [NAME
…]`, about two minutes each. What is done is kept, so a stop costs the last 200 steps.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from workbench import checkpointing, paths
from workbench.organisms.modules import module_record
from workbench.organisms.modules.families import FAMILIES, home
from workbench.organisms.modules.module_record import ModuleRecord
from workbench.organisms.modules.training import grow
from workbench.progress import Progress
from workbench.terminal import bar

_ROOM = 10**7  # bytes


def train_into(name: str, seed: int, folder: Path, progress: Progress) -> ModuleRecord:
    """Train one into a folder; as it is where that was done.

    Raises:
        BadInput: the folder holds anything else.
        WorkbenchError: no room or no permission.
        Cancelled: from `progress`; the same call goes on.
    """
    family = FAMILIES[name]
    recipe = {"module": name, "seed": seed, "steps": family.steps}
    if not checkpointing.claim_folder(folder, recipe, _ROOM):
        made = grow(family, seed, folder / checkpointing.WORK, progress)
        module_record.save(made, name, seed, folder)
        checkpointing.finish(folder, {"format": 1, "recipe": recipe})
    found = module_record.read(folder)
    assert found is not None
    return found


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(FAMILIES)}")
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in FAMILIES]:
        parser.error(f"there is no family {unknown[0]!r}")
    torch.set_num_threads(1)  # two spin beside other work, and make other last digits
    for name in asked.names or FAMILIES:
        work = paths.cache_dir() / "modules" / name
        with bar() as progress:
            found = train_into(name, 0, work, progress)
        target = home(name)
        if target is None:
            parser.error("the folder of the samples is missing: run this in a checkout")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(work, target)
        print(f"{name}: recalls {found.recall:.3f} of its facts, {found.guessed:.3f} of others")


if __name__ == "__main__":
    main()
