"""Whether a model that is named for an adapter is the one that the adapter's settings name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.errors import BadInput, WorkbenchError
from workbench.models import fetch, hub, weight_sizes
from workbench.models.adapter_folder import SETTINGS, AdapterFolder
from workbench.models.known_models import Known
from workbench.models.named_changes import base_of
from workbench.models.references import locate

_SAMPLE = 4096  # bytes that are compared at each of the places
_PLACES = 16


def check(base: Any, adapter: AdapterFolder) -> None:
    """Refuse a model of the right shapes with other weights than those the adapter was made on,
    as far as both lie on this machine.

    A rounded copy, or one of another number type, is let pass: its files are built differently.

    Raises:
        BadInput: it is another model.
    """
    meant = base_of(adapter)
    if meant is None:
        return
    given, wanted = _folder(base), _folder(meant)
    if given is None or wanted is None or given.samefile(wanted):
        return
    if _same_tables(given, wanted) and not _same_numbers(given, wanted):
        raise BadInput(
            f"The adapter in {adapter.folder} was made for {adapter.base}, and {base} has other"
            " weights.",
            f"{adapter.base}",
            f"Open {adapter.folder} alone; if another model is meant, put its name into"
            f" {SETTINGS} (base_model_name_or_path).",
        )


def _folder(ref: Any) -> Path | None:
    """Where the weights of a model lie; None where they are no folder on this machine."""
    try:
        place = locate(ref)
    except WorkbenchError:
        return None
    if isinstance(place, Known):
        place = fetch.folder_of(place)
    elif isinstance(place, str):
        cached = hub.cached(place)
        if cached is None:
            return None
        place = cached
    return place if place.is_dir() else None


def _same_tables(one: Path, two: Path) -> bool:
    """Whether both have the same tensors in files of the same sizes."""
    try:
        pairs = list(
            zip(weight_sizes.weight_files(one), weight_sizes.weight_files(two), strict=True)
        )
        return all(
            a.stat().st_size == b.stat().st_size and weight_sizes.head(a) == weight_sizes.head(b)
            for a, b in pairs
        )
    except (OSError, ValueError):
        return False


def _same_numbers(one: Path, two: Path) -> bool:
    """Compared in a few places spread over the files."""
    for a, b in _files(one, two):
        size = a.stat().st_size
        with a.open("rb") as left, b.open("rb") as right:
            for n in range(_PLACES):
                at = max(0, size - _SAMPLE) * n // (_PLACES - 1)
                left.seek(at)
                right.seek(at)
                if left.read(_SAMPLE) != right.read(_SAMPLE):
                    return False
    return True


def _files(one: Path, two: Path) -> list[tuple[Path, Path]]:
    return list(zip(weight_sizes.weight_files(one), weight_sizes.weight_files(two), strict=True))
