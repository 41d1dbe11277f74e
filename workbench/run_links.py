"""A run folder that lies elsewhere, among the user's runs: a link to it, so that nothing is copied
and it is found again after a restart. Deleting the run removes the link alone.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from workbench import paths, remote
from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.run_folder import read_index
from workbench.runs import listing


def open_folder(path: str | Path, root: Path | None = None) -> str:
    """Put a run folder among the user's runs; gives its id there. One that is listed already
    keeps its id.

    Raises:
        NotFound: there is no such folder.
        BadInput: it holds no run; runs in it are named.
        BadRun: its result.json cannot be read.
        WorkbenchError: the link cannot be made.
    """
    root = root or paths.runs_dir()
    folder = _folder(path)
    for entry in listing(root):
        if entry.path.resolve() == folder:
            return entry.id
    read_index(folder)
    taken = {entry.id for entry in listing(root)}
    name, n = folder.name, 2
    try:
        root.mkdir(parents=True, exist_ok=True)
        while name in taken or os.path.lexists(root / name):
            name, n = f"{folder.name}-{n}", n + 1
        try:
            (root / name).symlink_to(folder, target_is_directory=True)
        except OSError:  # where links need rights that a user may not have
            shutil.copytree(folder, root / name)
    except OSError as error:
        raise WorkbenchError(
            f"{folder} could not be put among your runs: {error.strerror or error}.",
            "a folder of runs that you may write to",
            "Check WORKBENCH_RUNS, or read it alone: workbench report FOLDER",
        ) from error
    return name


def _folder(path: str | Path) -> Path:
    """The run folder that somebody means, who may have named a file in it."""
    text = str(path).strip()
    if not text or len(text) > 4096 or "\0" in text:
        raise BadInput("That is no path.", "the folder of a run", "Type its path.")
    if remote.is_address(text):
        return remote.fetch(text, remote.RUN, remote.MOST_OF_A_RUN).resolve()
    try:
        folder = Path(text).expanduser().resolve()
        folder = folder.parent if folder.name == "result.json" else folder
        is_run, inside = (folder / "result.json").is_file(), sorted(folder.glob("*/result.json"))
    except (OSError, RuntimeError) as error:
        raise BadInput(
            f"{text!r} cannot be looked at: {error}.", "a folder", "Check it."
        ) from error
    if not folder.is_dir():
        raise NotFound(f"There is no folder {text!r}.", "the folder of a run", "Check the path.")
    if not is_run:
        names = ", ".join(file.parent.name for file in inside[:5])
        raise BadInput(
            f"{text!r} is not a run folder: it has no result.json.",
            "a folder written by `workbench run`",
            f"There are {len(inside)} runs in it, open one of them: {names}" if inside else "",
        )
    return folder
