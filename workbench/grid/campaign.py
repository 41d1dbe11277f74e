"""The folder of a grid: `campaign.json` says which runs it has, `runs/` holds those that are done.

A run is written whole or not at all, so what lies in `runs/` is done; nothing else has to be kept
for a grid to go on after a stop.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.checkpointing import replace
from workbench.errors import BadInput, WorkbenchError
from workbench.grid import status
from workbench.grid.plan import PlannedRun
from workbench.run_folder import read_index

FORMAT = 1
ABOUT, RUNS = "campaign.json", "runs"


class Campaign:
    """The runs of one grid on this disk.

    Args:
        folder: a new one, or one that a grid of the same analysis began. Its cells and these are
            then one grid.

    Raises:
        BadInput: the folder holds something else, or runs of another analysis.
        WorkbenchError: nothing may be written there.
    """

    def __init__(self, folder: Path, cells: Sequence[PlannedRun]) -> None:
        self.folder, analysis = folder, cells[0].analysis
        before = self._before(analysis)
        mine = {cell.key for cell in cells}
        self.cells = [*cells, *(cell for cell in before if cell.key not in mine)]

    def _before(self, analysis: str) -> list[PlannedRun]:
        file = self.folder / ABOUT
        try:
            if file.is_file():
                return _cells_in(file, analysis)
            if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
                raise BadInput(
                    f"{self.folder} is not empty.",
                    "a new folder, or one that a grid began",
                    "Choose another --out.",
                )
        except OSError as error:
            raise unwritable(self.folder, error) from error
        return []

    def place(self, cell: PlannedRun) -> Path:
        """Where the run of a cell lies once it is done."""
        return self.folder / RUNS / cell.folder

    def done(self, cell: PlannedRun) -> bool:
        """Whether its run is there and says what it is."""
        try:
            return bool(read_index(self.place(cell))["analysis"] == cell.analysis)
        except (WorkbenchError, OSError):
            return False

    def clear(self, cell: PlannedRun) -> None:
        """Make room for a run that is not done: a damaged one goes."""
        shutil.rmtree(self.place(cell), ignore_errors=True)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Inside, nobody else works in this folder; it goes on record what belongs to it.

        Raises:
            WorkbenchError: another process is at work here, or nothing may be written.
        """
        try:
            (self.folder / RUNS).mkdir(parents=True, exist_ok=True)
            with contextlib.ExitStack() as claim:
                if not claim.enter_context(status.locked(self.folder)):
                    raise WorkbenchError(
                        f"Another grid is at work in {self.folder}.",
                        "one grid in a folder at a time",
                        "Wait for it, stop it, or choose another --out.",
                    )
                replace(self.folder / ABOUT, json.dumps(self._says(), indent=1))
                claim = claim.pop_all()
        except OSError as error:
            raise unwritable(self.folder, error) from error
        with claim:
            yield

    def _says(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "analysis": self.cells[0].analysis,
            "cells": [
                {
                    "model": cell.model,
                    "params": cell.params,
                    "varied": cell.varied,
                    "folder": cell.folder,
                }
                for cell in self.cells
            ],
        }


def _cells_in(file: Path, analysis: str) -> list[PlannedRun]:
    """Cells of a grid that was begun. The file may come from a stranger: it is read as data."""
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise BadInput(
                f"{file} is of format {about['format']!r}.",
                f"format {FORMAT}",
                "Open it with the version that wrote it, or choose another --out.",
            )
        name = str(about["analysis"])
        cells = [
            PlannedRun(
                name,
                str(one["model"]),
                _dict(one["params"]),
                _dict(one["varied"]),
            )
            for one in about["cells"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{file} cannot be read: {error}.", "the record of a grid", "Choose another --out."
        ) from error
    if cells and cells[0].analysis != analysis:
        raise BadInput(
            f"{file.parent} holds a grid of {cells[0].analysis}.",
            f"a new folder, or one with a grid of {analysis}",
            "Choose another --out.",
        )
    return cells


def _dict(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no table")
    return value


def unwritable(folder: Path, error: OSError) -> WorkbenchError:
    """What is said where a grid's folder cannot be written to."""
    return WorkbenchError(
        f"Nothing can be written to {folder}: {error.strerror or error}.",
        "a folder with free space that you may write to",
        "Choose another --out, or make room.",
    )
