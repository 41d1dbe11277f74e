"""Deleting runs, so that it can be taken back: they go to `.trash` in the folder of runs, from
where they are restored, until it is emptied.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from workbench import paths, registry
from workbench.errors import NotFound, WorkbenchError
from workbench.grid.status import is_at_work
from workbench.run_labels import is_sample
from workbench.runs import RunEntry, entries_in, listing

FOLDER = ".trash"


def delete(run: str, root: Path | None = None) -> str:
    """Move a run to the trash; gives its id there, which `restore` takes.

    A run that was only linked from elsewhere leaves the list and stays where it is.

    Raises:
        NotFound: no such run.
        WorkbenchError: it is a sample run, a grid at work, still being written, or cannot be
            moved.
    """
    root = root or paths.runs_dir()
    for entry in listing(root):
        if entry.id != run:
            continue
        if entry.sample or is_sample(entry.path):
            raise WorkbenchError(
                f"{run!r} is a sample run, which comes with the workbench.",
                "a run of your own",
                "It can be hidden instead.",
            )
        if entry.analysis == registry.GRID and not entry.linked and is_at_work(entry.path):
            raise WorkbenchError(
                f"The grid {run!r} is at work.",
                "one that is done",
                "Stop it first, or wait for it.",
            )
        return _move(entry.path, root / FOLDER)
    if run in _names(root):
        raise WorkbenchError(
            f"The run {run!r} is still being written.",
            "a finished run",
            "Wait until it is done, or cancel it first.",
        )
    raise NotFound.named("run", run, [entry.id for entry in listing(root) if not entry.sample])


def trashed(root: Path | None = None) -> list[RunEntry]:
    """What lies in the trash, newest run first."""
    entries = entries_in((root or paths.runs_dir()) / FOLDER, sample=False)
    return sorted(entries, key=lambda entry: entry.started, reverse=True)


def restore(run: str, root: Path | None = None) -> str:
    """Move a run back among the others; gives its id there, another one if its own is taken by
    now.

    Raises:
        NotFound: it is not in the trash.
        WorkbenchError: it cannot be moved.
    """
    root = root or paths.runs_dir()
    for entry in trashed(root):
        if entry.id == run:
            return _move(entry.path, root)
    raise NotFound.named("run in the trash", run, [entry.id for entry in trashed(root)])


def empty(root: Path | None = None) -> int:
    """Remove for good what lies in the trash; gives how many runs that were.

    Raises:
        WorkbenchError: something in it cannot be removed.
    """
    place = (root or paths.runs_dir()) / FOLDER
    names = _names(root or paths.runs_dir(), FOLDER)
    for name in names:
        folder = place / name
        try:
            if folder.is_symlink() or not folder.is_dir():
                folder.unlink()  # what it leads to is not ours
            else:
                shutil.rmtree(folder)
        except OSError as error:
            raise WorkbenchError(
                f"{name!r} could not be removed from the trash: {error.strerror or error}.",
                "a folder that you may change",
                f"Remove it by hand: {folder}",
            ) from error
    return len(names)


def _names(root: Path, under: str = "") -> list[str]:
    """What lies in the folder of runs, or in one below it."""
    try:
        return sorted(os.listdir(root / under))
    except OSError:
        return []


def _move(folder: Path, place: Path) -> str:
    """Move a folder into another, under a name that is free there."""
    name, n = folder.name, 2
    try:
        place.mkdir(parents=True, exist_ok=True)
        while os.path.lexists(place / name):
            name, n = f"{folder.name}-{n}", n + 1
        os.rename(folder, place / name)
    except OSError as error:
        if not os.path.lexists(folder):  # two pages asked for the same
            raise NotFound(
                f"The run {folder.name!r} is not there any more.", do="Load the page again."
            ) from error
        raise WorkbenchError(
            f"The run {folder.name!r} could not be moved to {place}: {error.strerror or error}.",
            "a folder that you may change",
            "Check the permissions of the folder of runs.",
        ) from error
    return name
