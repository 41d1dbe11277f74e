"""Cells of a grid as tasks: what is given to a worker, and what it does with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from workbench.grid.campaign import Campaign
from workbench.grid.drive import Driver, WorkPiece
from workbench.grid.engine import Loading, WorkerTask
from workbench.grid.plan import PlannedRun
from workbench.progress import Progress


def pieces(
    campaign: Campaign,
    cells: Sequence[PlannedRun],
    loading: Loading,
    expected: Mapping[str, float],
) -> list[WorkPiece]:
    """Cells to be run.

    Args:
        expected: seconds of each, by key, as far as they are known.
    """
    return [
        WorkPiece(
            cell.key,
            cell.model,
            cell.says,
            partial(_run_task, campaign, cell, loading),
            expected.get(cell.key),
        )
        for cell in cells
    ]


def _run_task(campaign: Campaign, cell: PlannedRun, loading: Loading) -> WorkerTask:
    campaign.clear(cell)
    given = {"analysis": cell.analysis, "params": cell.params}
    return WorkerTask(f"{__name__}:run", cell.model, given, campaign.place(cell), loading)


def estimates(
    driver: Driver, cells: Sequence[PlannedRun], loading: Loading, progress: Progress
) -> dict[str, float]:
    """Seconds that each cell takes on one worker, by key; only of those that state it.

    One model stands for all steps of its training, one seed for all.

    Raises:
        Cancelled: the user stopped.
        WorkbenchError: no worker can be had.
    """
    alike: dict[tuple[str, str], list[PlannedRun]] = {}
    for cell in cells:
        same = (cell.model.partition("@")[0], str({**cell.params, "seed": 0}))
        alike.setdefault(same, []).append(cell)
    first = [
        WorkPiece(cell.key, cell.model, cell.says, partial(_estimate_task, cell, loading))
        for cell, *_ in alike.values()
    ]
    seconds = driver.run(first, progress, doing="Measuring how long it takes").seconds
    return {
        cell.key: seconds[group[0].key]
        for group in alike.values()
        if group[0].key in seconds
        for cell in group
    }


def _estimate_task(cell: PlannedRun, loading: Loading) -> WorkerTask:
    given = {"analysis": cell.analysis, "params": cell.params}
    return WorkerTask(f"{__name__}:estimate", cell.model, given, None, loading)


def run(model: Any, given: Any, target: Path, progress: Progress) -> float:
    """Run a cell into its folder; the seconds that it took."""
    from workbench import runs

    result = runs.run(given["analysis"], model, given["params"], progress=progress)
    result.save(target)
    return result.provenance.duration


def estimate(model: Any, given: Any, target: None, progress: Progress) -> float | None:
    """The seconds that a cell will take; None where its analysis states nothing."""
    from workbench import account, cost, registry

    analysis = registry.get(given["analysis"])
    params = analysis.parse(given["params"])
    account.check_parts(analysis, model, params)
    whole = cost.estimate(analysis, model, params)
    return None if whole is None else whole.seconds
