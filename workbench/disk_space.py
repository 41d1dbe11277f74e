"""Is there room, and may it be used?

Asked before memory is filled or a disk is written, where the answer still helps.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from workbench.errors import WorkbenchError

AGREED = 10**9  # bytes that may be written to a disk without asking
_MEMINFO = Path("/proc/meminfo")
_SPARE = 64 * 10**6  # left free on the disk for whatever else writes there


def size(number: float) -> str:
    """Bytes for people: "538 MB"."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= factor:
            return (
                f"{number / factor:.1f} {unit}"
                if number < 10 * factor
                else f"{number / factor:,.0f} {unit}"
            )
    return f"{number:.0f} B"


def memory_free() -> int | None:
    """Bytes of memory that can still be filled without swapping.

    None where the system does not say.
    """
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
    except OSError:
        return None  # not Linux
    return next(
        (int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None
    )


def check_memory(needed: int, what: str, do: str) -> None:
    """Fail before an array is made that does not fit: the system would end the process instead of
    raising.

    Raises:
        WorkbenchError: fewer bytes are free than are needed.
    """
    free = memory_free()
    if free is not None and needed > free:
        raise WorkbenchError(
            f"{what} needs {size(needed)} of memory; {size(free)} are free.",
            f"at most {size(free)}",
            do,
        )


def check_disk(folder: Path, needed: int) -> None:
    """Fail before writing what the disk under `folder` cannot hold.

    Raises:
        WorkbenchError: fewer bytes are free than are needed.
    """
    nearest = folder.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    free = shutil.disk_usage(nearest).free
    if needed + _SPARE > free:
        raise WorkbenchError(
            f"The trace needs {size(needed)} on disk; {size(free)} are free where {folder} lies.",
            f"{size(needed + _SPARE)} of free space",
            "Reduce what is captured, store it as float16, free some space, or choose another"
            " place.",
        )


def check_writable(target: Path, option: str, *, empty_folder_will_do: bool = True) -> None:
    """Fail now, and not after an hour of work, if a new folder or file cannot be made at `target`.

    Raises:
        WorkbenchError: it is taken, or lies where nothing may be written.
    """
    if target.is_file() or (
        target.is_dir() and (not empty_folder_will_do or any(target.iterdir()))
    ):
        raise WorkbenchError(
            f"{target} exists already.",
            "a new place",
            f"Choose another {option}, or remove it first.",
        )
    nearest = target.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        raise WorkbenchError(
            f"{nearest} is a file, so {target} cannot be made.",
            "a folder",
            f"Choose another {option}.",
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise WorkbenchError(
            f"Nothing may be written in {nearest}.",
            "a folder you may write to",
            f"Choose another {option}.",
        )
