"""What can be loaded, and what of it is on this machine already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workbench.models import hub
from workbench.models.fetch import damage, folder_of
from workbench.models.known_models import known
from workbench.models.terms import accepted
from workbench.organisms import shipped


@dataclass(frozen=True)
class ModelEntry:
    """A line of `workbench models`.

    Attributes:
        name: what to hand to `--model`.
        description, licence: empty where we do not know them.
        origin: "known" (loads by its short name), "organism" (comes with the workbench) or "hugging
            face" (in the local cache of the Hub).
        cached: it loads without the network.
        bytes: on disk; 0 if not cached.
        path: its folder; None if not cached.
        problem: why a cached copy cannot be used, "" if it can.
        accepted: whether its terms of use were accepted on this machine; None where there are none
            to accept.
    """

    name: str
    description: str
    licence: str
    origin: str
    cached: bool
    bytes: int
    path: Path | None
    problem: str = ""
    accepted: bool | None = None


def listing() -> list[ModelEntry]:
    """Known models first, then organisms, then those in the local Hugging Face cache, each group
    by name.
    """
    return [*_known(), *_organisms(), *_hub()]


def _organisms() -> list[ModelEntry]:
    return [
        ModelEntry(
            name=organism.name,
            description=organism.description,
            licence="Apache-2.0",
            origin="organism",
            cached=True,
            bytes=organism.bytes,
            path=organism.folder,
        )
        for organism in shipped().values()
    ]


def _known() -> list[ModelEntry]:
    entries = []
    for entry in known().values():
        why, folder = damage(entry), folder_of(entry)
        there = why != "not fetched"
        entries.append(
            ModelEntry(
                name=entry.name,
                description=entry.description,
                licence=entry.licence,
                origin="known",
                cached=why is None and accepted(entry) is not False,
                bytes=sum(file.stat().st_size for file in folder.iterdir()) if there else 0,
                path=folder if there else None,
                problem=why or "" if there else "",
                accepted=accepted(entry),
            )
        )
    return entries


def _hub() -> list[ModelEntry]:
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        found = scan_cache_dir().repos
    except CacheNotFound:
        return []
    entries = []
    for repo in found:
        if repo.repo_type != "model":
            continue
        whole = any(hub.complete(Path(revision.snapshot_path)) for revision in repo.revisions)
        entries.append(
            ModelEntry(
                name=repo.repo_id,
                description="",
                licence="",
                origin="hugging face",
                cached=whole,
                bytes=repo.size_on_disk,
                path=Path(repo.repo_path),
                problem="" if whole else "incomplete, or without safetensors",
            )
        )
    return sorted(entries, key=lambda entry: entry.name)
