"""The grids that are at work among the runs, whoever started them: how far they are, and stopping
them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse

from ui.app_state import AppState
from workbench import cost, registry
from workbench.errors import NotFound, WorkbenchError
from workbench.grid import status
from workbench.runs import RunEntry


@dataclass(frozen=True)
class GridAtWork:
    """One grid that is at work.

    Attributes:
        percent: of the work.
        says: what is being done, how long it takes.
    """

    id: str
    title: str
    percent: int
    says: str
    stopping: bool


def at_work(entries: Iterable[RunEntry]) -> list[GridAtWork]:
    """Those of these runs that are grids at work just now."""
    found = ((entry, status.read(entry.path)) for entry in entries if is_grid(entry))
    return [_told(entry, now) for entry, now in found if now is not None]


def is_grid(entry: RunEntry) -> bool:
    """Whether a run is the summary of a grid."""
    return entry.analysis == registry.GRID and not entry.problem


def _told(entry: RunEntry, now: status.GridStatus) -> GridAtWork:
    left = "" if now.left is None else f" · {cost.in_words(now.left)} left"
    says = "Stopping: what is under way is given up, what is done is kept." if now.stopping else ""
    percent = int(100 * now.fraction)
    return GridAtWork(
        entry.id, entry.title, percent, says or f"{percent} %{left} · {now.says}", now.stopping
    )


def add(app: FastAPI, state: AppState) -> None:
    """Put the route that pages ask again and again on the server."""

    @app.get("/grids")
    def grids() -> JSONResponse:
        return JSONResponse([asdict(grid) for grid in at_work(state.entries())])


def stop(state: AppState, run_id: str) -> dict[str, Any]:
    """Ask a grid to stop at its next report.

    Raises:
        NotFound: no such run, or it is no grid that is at work.
        WorkbenchError: its folder cannot be written to.
    """
    entry = state.entry(run_id)
    if not is_grid(entry) or not status.is_at_work(entry.path):
        raise NotFound(
            f"{entry.title} is not at work.", "a grid that is at work", "Reload the page."
        )
    try:
        status.ask_to_stop(entry.path)
    except OSError as error:
        raise WorkbenchError(
            f"The grid cannot be asked to stop: {error.strerror or error}.",
            "its folder to be writable",
            "Stop it where it was started, with Ctrl-C.",
        ) from error
    return {"stopping": run_id}
