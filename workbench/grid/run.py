"""A grid from beginning to end: what `workbench grid` and `wb.run_grid` do."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import registry, run_links
from workbench.cost import in_words
from workbench.errors import BadInput, Cancelled, WorkbenchError
from workbench.grid import local, plan
from workbench.grid.campaign import Campaign
from workbench.grid.drive import Driver, Settings
from workbench.grid.engine import Engine, Loading
from workbench.grid.page import GridPage
from workbench.grid.plan import PlannedRun
from workbench.grid.watch import WatchedProgress
from workbench.models import placement
from workbench.models.known_models import DEFAULT
from workbench.progress import Progress
from workbench.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Where:
    """Where the runs of a grid are run.

    Attributes:
        engine: "local" (processes of this machine) or "ray".
        address: of the Ray cluster's head; None takes one that is found, else starts one here.
        workers: runs at a time; None is as many as fit.
        loading: how every worker loads its model.
    """

    engine: str = "local"
    address: str | None = None
    workers: int | None = None
    loading: Loading = field(default_factory=Loading)


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
    check_engine(where)
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


def check_engine(where: Where) -> None:
    """Raises BadInput for an engine that there is not, or where models cannot be loaded as asked.
    What other machines can load only they know.
    """
    if where.engine not in ENGINES:
        raise BadInput(
            f"There is no engine {where.engine!r}.", " or ".join(ENGINES), "Choose one of them."
        )
    if where.engine == "local" and where.address is not None:
        raise BadInput(
            "An address is of a Ray cluster.", "the engine ray", "Choose it, or leave it out."
        )
    if where.engine == "local":
        how = where.loading
        placement.parse(how.device, how.max_memory, how.offload, how.bits)
    if where.engine == "ray":
        from workbench.grid import ray_engine

        ray_engine.check(where.address)


def _run(
    campaign: Campaign,
    to_do: Sequence[PlannedRun],
    where: Where,
    progress: Progress,
    say: Callable[[str], None] | None,
    page: GridPage,
) -> None:
    """All cells that are not there yet."""
    engine, many = _hired(where, to_do)
    watched = WatchedProgress(progress, campaign, page.write)
    try:
        with engine:
            driver = Driver(campaign, engine, Settings(many, where.loading))
            expected = driver.estimates(to_do, watched.subprogress(0.0, 0.02))
            whole = sum(expected.values()) / many
            if say is not None:
                about = f", about {in_words(whole)}" if len(expected) == len(to_do) else ""
                say(f"{counted(len(to_do), 'run')} on {counted(many, 'worker')}{about}.")
            watched.expect(whole or None)

            def ended(cell: PlannedRun, error: WorkbenchError | None) -> None:
                if error is not None:
                    page.failed[cell.key] = error
                watched.run_ended()

            driver.run(to_do, expected, watched.subprogress(0.02, 1.0), ended)
    except Cancelled:
        n = sum(campaign.done(cell) for cell in to_do)
        raise Cancelled(
            f"Stopped. {counted(n, 'run')} of {len(to_do)} finished and kept in {campaign.folder};"
            " the same again with this folder goes on."
        ) from None


def _hired(where: Where, to_do: Sequence[PlannedRun]) -> tuple[Engine, int]:
    """The engine, and how many workers it will have."""
    if where.engine == "ray":
        from workbench.grid import ray_engine

        return ray_engine.start(where.address, where.workers, len(to_do))
    models, n, loading = plan.models_of(to_do), len(to_do), where.loading
    # What is spread over a machine's memory has been given all of it.
    fit = 1 if loading.max_memory else local.as_many_as_fit(models, n, loading.device)
    many = min(where.workers or fit, n)
    return local.Local(many, loading.device), many
