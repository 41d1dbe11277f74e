"""How far a grid is, and how it is asked to stop: small files in its folder, for every process that
looks there.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from workbench.checkpointing import replace
from workbench.progress import Update

LOCK, STATUS, STOP = ".lock", ".status.json", ".stop"
_LOOKS, _MOMENT = 5, 0.02  # who only looks holds the lock for less than so many seconds


@dataclass(frozen=True)
class GridStatus:
    """A grid that is at work.

    Attributes:
        fraction: of the work, from 0 to 1.
        says: what is being done.
        left: seconds to go; None until that can be told.
        stopping: it was asked to stop.
    """

    fraction: float = 0.0
    says: str = "Starting"
    left: float | None = None
    stopping: bool = False


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Inside, no other process works in this folder; False where another one does already.

    Raises OSError where nothing can be written. The lock goes with the process, also when that is
    killed.
    """
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        mine = _take(handle)
        if mine:
            _forget(folder)
        try:
            yield mine
        finally:
            if mine:
                _forget(folder)
    finally:
        os.close(handle)


def _take(handle: int) -> bool:
    with contextlib.suppress(ImportError):  # Windows has no fcntl; there nothing is locked
        import fcntl

        for _ in range(_LOOKS):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                time.sleep(_MOMENT)
        return False
    return True


def _forget(folder: Path) -> None:
    for name in (STATUS, STOP):
        (folder / name).unlink(missing_ok=True)


def is_at_work(folder: Path) -> bool:
    """Whether a process works in this folder just now."""
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except ImportError:
        return (folder / STATUS).exists()
    finally:
        os.close(handle)
    return False


def write(folder: Path, update: Update) -> None:
    """Say how far it is."""
    now = GridStatus(update.fraction, update.says, update.left, is_stopping(folder))
    replace(folder / STATUS, json.dumps(asdict(now)))


def read(folder: Path) -> GridStatus | None:
    """How far a grid is; None where none is at work."""
    if not is_at_work(folder):
        return None
    try:
        known = json.loads((folder / STATUS).read_text(encoding="utf-8"))
        left = known["left"]
        return GridStatus(
            min(1.0, max(0.0, float(known["fraction"]))),
            str(known["says"])[:300],
            None if left is None else float(left),
            is_stopping(folder),
        )
    except (OSError, ValueError, KeyError, TypeError):  # not told yet
        return GridStatus(stopping=is_stopping(folder))


def ask_to_stop(folder: Path) -> None:
    """The grid at work in this folder stops at its next report. Raises OSError where nothing can
    be written.
    """
    (folder / STOP).touch()


def is_stopping(folder: Path) -> bool:
    return (folder / STOP).exists()
