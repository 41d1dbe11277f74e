"""The workers that a run was given: an analysis that reads long texts gives them its batches.

They are no parameter of the run: what comes out is the same for any number of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.errors import BadInput

if TYPE_CHECKING:
    from workbench.grid.drive import Driver
    from workbench.grid.workers import Workers
    from workbench.registry import Analysis


@dataclass(frozen=True)
class RunWorkers:
    """Workers, and the driver that gives them pieces; they keep their model from one job to the
    next.
    """

    workers: Workers
    driver: Driver


_CURRENT: ContextVar[RunWorkers | None] = ContextVar("run_workers", default=None)


def check(analysis: Analysis) -> None:
    """Raises BadInput where the runs of an analysis have nothing for workers to do: it does not
    declare `ON_WORKERS`.
    """
    if not getattr(analysis.module, "ON_WORKERS", False):
        raise BadInput(
            f"A run of {analysis.name} cannot be shared between workers.",
            "an analysis that reads long texts in parts, such as extraction",
            "Leave out the workers, or run several models or seeds at a time: workbench grid.",
        )


def current() -> RunWorkers | None:
    """Those of the run that is being made in this thread; None where it has none."""
    return _CURRENT.get()


@contextmanager
def running_on(workers: Workers | None) -> Iterator[None]:
    """Inside, a run may give pieces to these workers; behind it they have ended.

    Raises:
        BadInput: no cluster answers.
        WorkbenchError: this machine has no memory for so many.
    """
    if workers is None:
        yield
        return
    with workers.hired() as driver:
        token = _CURRENT.set(RunWorkers(workers, driver))
        try:
            yield
        finally:
            _CURRENT.reset(token)
