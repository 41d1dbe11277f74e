"""What can be loaded, and what of it is on this machine already."""

from __future__ import annotations

from pathlib import Path

from workbench.errors import BadInput
from workbench.models import hub, local, weight_sizes
from workbench.models.entry import ModelEntry
from workbench.models.fetch import damage, folder_of
from workbench.models.known_models import known
from workbench.models.terms import accepted
from workbench.organisms import Organism, checkpoints, shipped


def listing(runs: Path | None = None) -> list[ModelEntry]:
    """Known models first, then organisms, what was made here, other folders and files, and those
    in the local Hugging Face cache, each group by name.

    Quick, since nothing of the weights is read, and never an error: what is broken says so.

    Args:
        runs: the folder of runs, where changes of weights may lie; None is the user's.
    """
    return [*_known(), *_organisms(), *local.entries(runs), *_hub()]


def _organisms() -> list[ModelEntry]:
    return [_organism(organism) for organism in shipped().values()]


def _organism(organism: Organism) -> ModelEntry:
    problem = ""
    steps: list[int] = []
    try:
        steps = [] if organism.packed else checkpoints.saved_steps(organism.folder)
    except BadInput as error:
        problem = error.what
    return ModelEntry(
        name=organism.name,
        description=organism.description,
        licence="Apache-2.0",
        origin="organism",
        cached=True,
        bytes=organism.bytes,
        path=organism.folder,
        problem=problem,
        memory=_memory(organism.folder),
        steps=tuple(steps),
    )


def _memory(place: Path) -> int | None:
    size = weight_sizes.of_place(place)
    return size.float32 if size is not None else None


def _known() -> list[ModelEntry]:
    entries = []
    for entry in known().values():
        why, folder = damage(entry), folder_of(entry)
        is_fetched = why != "not fetched"
        entries.append(
            ModelEntry(
                name=entry.name,
                description=entry.description,
                licence=entry.licence,
                origin="known",
                cached=why is None and accepted(entry) is not False,
                bytes=sum(file.stat().st_size for file in folder.iterdir()) if is_fetched else 0,
                path=folder if is_fetched else None,
                problem=why or "" if is_fetched else "",
                accepted=accepted(entry),
                memory=weight_sizes.of_known(entry).float32,
                download=sum(wheel.bytes for wheel in entry.wheels),
            )
        )
    return entries


def _hub() -> list[ModelEntry]:
    entries = []
    for repo, snapshots in hub.in_cache().items():
        whole = [snapshot for snapshot in snapshots if hub.complete(snapshot)]
        entries.append(
            ModelEntry(
                name=repo,
                description="",
                licence="",
                origin="hugging face",
                cached=bool(whole),
                bytes=sum(_size(folder) for folder in snapshots),
                path=snapshots[0].parents[1] if snapshots else None,
                problem="" if whole else "incomplete, or without safetensors",
                memory=_memory(whole[0]) if whole else None,
            )
        )
    return sorted(entries, key=lambda entry: entry.name)


def _size(folder: Path) -> int:
    """Bytes of the files in a snapshot; links that lead nowhere are none."""
    try:
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    except OSError:
        return 0
