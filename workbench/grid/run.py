"""A grid from beginning to end: what `workbench grid` and `wb.run_grid` do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import registry, run_links
from workbench.cost import in_words
from workbench.errors import Cancelled, WorkbenchError
from workbench.grid import cell_tasks, plan
from workbench.grid.campaign import Campaign
from workbench.grid.drive import Driver, WorkPiece
from workbench.grid.page import GridPage
from workbench.grid.plan import PlannedRun
from workbench.grid.watch import WatchedProgress
from workbench.grid.where import Where, check, start
from workbench.models.known_models import DEFAULT
from workbench.progress import Progress
from workbench.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result


@dataclass(frozen=True)
class Grid:
    """What a grid is once it has ended.

    Attributes:
        folder: where it lies.
        table: one row for each run: what varies, seconds, every number of every finding, `folder`.
        result: its summary as a run, which the Explorer shows.
        failed: why runs failed, by what is special in them.
    """

    folder: Path
    table: pd.DataFrame
    result: Result
    failed: Mapping[str, WorkbenchError]


def run_grid(
    analysis: str,
    models: Sequence[str] = (DEFAULT,),
    values: Mapping[str, Sequence[Any]] | None = None,
    *,
    out: str | Path,
    fixed: Mapping[str, Any] | None = None,
    where: Where | None = None,
    progress: Progress | None = None,
    say: Callable[[str], None] | None = None,
    link: bool = False,
) -> Grid:
    """Run an analysis on every model with every combination of values.

    Runs that are there already are not run again, so the same call goes on after a stop.

    Args:
        models: references; `NAME@*` is every saved step of a model's training.
        values: of each parameter that varies.
        out: the folder of the grid.
        fixed: parameters that are the same everywhere.
        say: hears, before anything is run, how many runs there are and how long they take.
        link: show it among the user's runs, wherever it lies.

    Raises:
        BadInput: a value that the analysis refuses, or a folder that holds something else.
        NotFound: no such analysis or model.
        WorkbenchError: another grid works in this folder, or nothing may be written there.
        Cancelled: from `progress`; what was finished is kept.
    """
    where = where or Where()
    check(where)
    cells = plan.cells(registry.get(analysis), models, values or {}, fixed or {})
    campaign = Campaign(Path(out), cells)
    to_do = [cell for cell in cells if not campaign.done(cell)]
    asked = {
        "analysis": analysis,
        "models": list(models),
        "values": values or {},
        "fixed": fixed or {},
    }
    with campaign.claimed():
        page = GridPage(campaign, json.loads(json.dumps(asked, default=str)))
        page.write()
        if link:
            _put_link(campaign, say)
        try:
            if to_do:
                _run(campaign, to_do, where, progress or Progress(), say, page)
        finally:
            result = page.write()
        failed = {c.says: page.failed[c.key] for c in cells if c.key in page.failed}
        return Grid(campaign.folder, page.summary(), result, failed)


def _put_link(campaign: Campaign, say: Callable[[str], None] | None) -> None:
    """Show the grid among the user's runs. Where that cannot be, it is said; the grid is run."""
    try:
        run_links.open_folder(campaign.folder)
    except WorkbenchError as error:
        if say is not None:
            say(f"It will not be among your runs: {error.what}")


def _run(
    campaign: Campaign,
    to_do: Sequence[PlannedRun],
    where: Where,
    progress: Progress,
    say: Callable[[str], None] | None,
    page: GridPage,
) -> None:
    """All cells that are not there yet."""
    engine, many = start(where, plan.models_of(to_do), len(to_do))
    watched = WatchedProgress(progress, campaign, page.write)
    try:
        with engine:
            driver = Driver(engine, many)
            expected = cell_tasks.estimates(
                driver, to_do, where.loading, watched.subprogress(0.0, 0.02)
            )
            whole = sum(expected.values()) / many
            if say is not None:
                about = f", about {in_words(whole)}" if len(expected) == len(to_do) else ""
                say(f"{counted(len(to_do), 'run')} on {counted(many, 'worker')}{about}.")
            watched.expect(whole or None)

            def ended(piece: WorkPiece, error: WorkbenchError | None) -> None:
                if error is not None:
                    page.failed[piece.key] = error
                watched.run_ended()

            pieces = cell_tasks.pieces(campaign, to_do, where.loading, expected)
            driver.run(pieces, watched.subprogress(0.02, 1.0), ended)
    except Cancelled:
        n = sum(campaign.done(cell) for cell in to_do)
        raise Cancelled(
            f"Stopped. {counted(n, 'run')} of {len(to_do)} finished and kept in {campaign.folder};"
            " the same again with this folder goes on."
        ) from None
