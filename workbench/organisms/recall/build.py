"""Train the organisms of recall that come with the workbench again: `make recall`, or `python -m
workbench.organisms.recall.build [NAME …] [--seeds 3] [--further]`.

Each learning rate is tried on seed 0, and further seeds at the best; the model of seed 0 ships, of
the others the numbers. `--further` trains only the seeds that the record of a shipped model lacks,
and leaves its weights. Every training is kept as it is done, so a stop costs the one it was at.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch

from workbench import checkpointing, paths
from workbench.errors import NotFound
from workbench.organisms import DATA
from workbench.organisms.recall import record
from workbench.organisms.recall.families import FAMILIES, Family
from workbench.organisms.recall.record import Training
from workbench.organisms.recall.train import Trained, train
from workbench.progress import Progress
from workbench.terminal import bar

_ROOM = 10**7  # bytes


def train_into(name: str, seed: int, folder: Path, progress: Progress) -> record.Record:
    """Train one family at its best learning rate into a folder; as it is where that was done.

    Raises:
        BadInput: the folder holds anything else.
        WorkbenchError: no room or no permission.
        Cancelled: from `progress`; the same call begins again.
    """
    family = FAMILIES[name]
    recipe = {"family": name, "seed": seed, "rate": family.rates[0], "steps": family.steps}
    if not checkpointing.claim_folder(folder, recipe, _ROOM):
        made = train(family, family.rates[0], seed, progress)
        record.save(made, [_training(family, family.rates[0], seed, made)], name, folder)
        checkpointing.finish(folder, {"format": 1, "recipe": recipe})
    found = record.read(folder)
    assert found is not None
    return found


def _training(family: Family, rate: float, seed: int, made: Trained) -> Training:
    return Training(seed, rate, family.steps, made.recall, made.reached)


def trained_once(name: str, rate: float, seed: int, work: Path, progress: Progress) -> Training:
    """One training; read again where it was done before."""
    folder = work / name / f"seed-{seed}-rate-{rate:g}"
    family = FAMILIES[name]
    if (found := record.read(folder)) is not None and found.trainings[0].steps == family.steps:
        return found.trainings[0]
    made = train(family, rate, seed, progress)
    done = _training(family, rate, seed, made)
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    record.save(made, [done], name, part)
    shutil.rmtree(folder, ignore_errors=True)  # by a recipe of other steps
    part.rename(folder)
    return done


def build(name: str, seeds: int, work: Path) -> record.Record:
    """All trainings of a family, and the model that ships in its folder."""
    with bar() as progress:
        tried = [trained_once(name, rate, 0, work, progress) for rate in FAMILIES[name].rates]
        best = max(tried, key=lambda one: sum(one.recall.values()))
        others = [trained_once(name, best.rate, seed, work, progress) for seed in range(1, seeds)]
    target = DATA / "recall" / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(work / name / f"seed-0-rate-{best.rate:g}", target)
    trainings = [best, *others, *(one for one in tried if one is not best)]
    record.write(trainings, name, target)
    found = record.read(target)
    assert found is not None
    return found


def add_seeds(name: str, seeds: int, work: Path) -> record.Record:
    """The model that ships as it is, and in its record the seeds below `seeds` at its rate."""
    target = DATA / "recall" / name
    shipped = record.read(target)
    if shipped is None:
        raise NotFound(f"{name} does not ship.", "a model that does", "Leave out --further.")
    first, rest = shipped.trainings[0], list(shipped.trainings[1:])
    there = {one.seed for one in shipped.trainings if one.rate == first.rate}
    with bar() as progress:
        others = [
            trained_once(name, first.rate, seed, work, progress)
            for seed in range(seeds)
            if seed not in there
        ]
    at_its_rate = sorted(
        [*others, *(one for one in rest if one.rate == first.rate)], key=lambda one: one.seed
    )
    trainings = [first, *at_its_rate, *(one for one in rest if one.rate != first.rate)]
    record.write(trainings, name, target)
    found = record.read(target)
    assert found is not None
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(FAMILIES)}")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--further", action="store_true", help="leave the models that ship")
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in FAMILIES]:
        parser.error(f"there is no family {unknown[0]!r}")
    torch.set_num_threads(1)  # two spin beside other work, and make other last digits
    for name in asked.names or FAMILIES:
        trained = add_seeds if asked.further else build
        found = trained(name, asked.seeds, paths.cache_dir() / "recall")
        for one in found.trainings:
            shares = ", ".join(f"{pairs}: {share:.2f}" for pairs, share in one.recall.items())
            failed = "" if one.has_learned else "  did not train"
            print(f"{name} seed {one.seed} rate {one.rate:g}  {shares}{failed}", flush=True)


if __name__ == "__main__":
    main()
