"""`workbench grid`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli import parse_values
from workbench.cli.run import Device, Dtype, Json
from workbench.cost import in_words
from workbench.errors import BadInput, Cancelled, WorkbenchError
from workbench.models.known_models import DEFAULT
from workbench.terminal import bar, complain, err, out, plain, print_json, show_table
from workbench.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from workbench.grid.campaign import Campaign
    from workbench.grid.drive import Outcome
    from workbench.grid.engine import Engine
    from workbench.grid.plan import Cell
    from workbench.registry import Analysis

_SHOWN = 6  # numbers of findings that the table on the screen has


def grid(
    name: Annotated[
        str,
        typer.Argument(help="The analysis; `workbench analyses` lists them.", show_default=False),
    ],
    model_refs: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="A model; repeat for several. NAME@* is every saved step of its training.",
            show_default=DEFAULT,
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE[,VALUE…]",
            help=(
                "Values of a parameter; several are parted by commas. Lists, and texts with commas,"
                " are written as JSON."
            ),
            show_default=False,
        ),
    ] = None,
    params: Annotated[
        Path | None,
        typer.Option(
            help="Parameters of all runs from a .json or .toml file; --set overrides it.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help=(
                "Folder of the grid. One that was begun goes on. Default: a new one in the working"
                " folder."
            ),
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="local: processes of this machine; ray: a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            help="Of the Ray cluster. Default: one that is found, else a new one here.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, max=10_000, help="Runs at a time. Default: as many as fit.", show_default=False
        ),
    ] = None,
    plan_only: Annotated[
        bool, typer.Option("--plan", help="Show which runs there are, and run nothing.")
    ] = False,
    device: Device = "auto",
    dtype: Dtype = None,
    as_json: Json = False,
) -> None:
    """Run an analysis on every model with every combination of parameters.

    Runs that are there already are not run again, so the same command goes on after a stop.
    """
    from workbench import registry
    from workbench.grid import plan
    from workbench.grid.campaign import Campaign

    asked = registry.get(name)
    fixed = dict(parse_values.read_params(params)) if params is not None else {}
    axes = _axes(asked, assignments or [])
    cells = plan.cells(asked, model_refs or [DEFAULT], axes, fixed)
    _check_engine(engine, address)
    place = folder if folder is not None else Path(_new_name(name))
    campaign = Campaign(place, cells)
    to_do = [cell for cell in cells if not campaign.done(cell)]
    if plan_only:
        _show_plan(campaign, cells, to_do, as_json)
        return
    with campaign.claimed():
        outcome = None
        if to_do:
            outcome = _run(campaign, to_do, engine, address, workers, (device, dtype))
        _tell(campaign, cells, outcome, as_json)


def _new_name(analysis: str) -> str:
    return f"grid-{analysis}-{dt.datetime.now():%Y%m%d-%H%M%S}"


def _axes(asked: Analysis, assignments: Sequence[str]) -> dict[str, list[Any]]:
    """Values by parameter.

    Raises:
        BadInput: no assignment, a parameter twice, or a list that is not written as JSON.
    """
    from workbench.grid import plan

    axes: dict[str, list[Any]] = {}
    properties = asked.Params.model_json_schema().get("properties", {})
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key or key in axes:
            twice = "sets a parameter twice" if key in axes else "is not an assignment"
            raise BadInput(
                f"--set {assignment!r} {twice}.",
                "key=value, or key=value,value for several runs",
                f"`workbench analyses {asked.name}` lists the keys.",
            )
        parts = plan.values_of(text)
        is_list = len(parts) > 1 and parse_values.wants_list(properties.get(key, {}))
        if is_list and (bad := [part for part in parts if not part.strip().startswith("[")]):
            raise BadInput(
                f"{key} is a list, so {bad[0]!r} may be one of its items or a run of its own.",
                f'lists as JSON: {key}=["a","b"],["c"] for two runs',
                "Write it so.",
            )
        axes[key] = [parse_values.value_of(part.strip(), properties.get(key, {})) for part in parts]
    return axes


def _check_engine(engine: str, address: str | None) -> None:
    if engine not in ("local", "ray"):
        raise BadInput(f"There is no engine {engine!r}.", "local or ray", "Choose one of them.")
    if engine == "local" and address is not None:
        raise BadInput(
            "--address is of a Ray cluster.", "--engine ray", "Add it, or leave out --address."
        )
    if engine == "ray":
        from workbench.grid import ray_engine

        ray_engine.check()


def _run(
    campaign: Campaign,
    to_do: list[Cell],
    engine: str,
    address: str | None,
    workers: int | None,
    settings: tuple[str, str | None],
) -> Outcome:
    """All cells that are not there yet. Raises Cancelled, with what is kept in its words."""
    from workbench.grid import local
    from workbench.grid.drive import Driver, Settings
    from workbench.grid.plan import models_of

    hired: Engine
    if engine == "ray":
        from workbench.grid import ray_engine

        hired, many = ray_engine.start(address, workers, len(to_do))
    else:
        many = min(workers or local.as_many_as_fit(models_of(to_do), len(to_do)), len(to_do))
        hired = local.Local(many)
    try:
        with hired, bar() as progress:
            driver = Driver(campaign, hired, Settings(many, *settings))
            expected = driver.estimates(to_do, progress.subprogress(0.0, 0.02))
            whole = sum(expected.values()) / many
            about = f", about {in_words(whole)}" if len(expected) == len(to_do) else ""
            err().print(
                f"[dim]{counted(len(to_do), 'run')} on {counted(many, 'worker')}{about}.[/]"
            )
            progress.expect(whole or None)
            return driver.run(to_do, expected, progress.subprogress(0.02, 1.0))
    except Cancelled:
        n = sum(campaign.done(cell) for cell in to_do)
        raise Cancelled(
            f"Stopped. {counted(n, 'run')} of {len(to_do)} finished and kept in {campaign.folder};"
            f" the same command with --out {campaign.folder} goes on."
        ) from None


def _show_plan(
    campaign: Campaign, cells: Sequence[Cell], to_do: Sequence[Cell], as_json: bool
) -> None:
    waiting = {cell.key for cell in to_do}
    if as_json:
        print_json(
            [
                {"model": c.model, "params": c.params, "done": c.key not in waiting, "id": c.folder}
                for c in cells
            ]
        )
        return
    names = list(dict.fromkeys(name for cell in cells for name in cell.varied))
    rows = [
        (
            cell.folder,
            *(str(cell.varied.get(name, "")) for name in names),
            "to do" if cell.key in waiting else "done",
        )
        for cell in cells
    ]
    show_table(["run", *names, "state"], rows)
    out().print(f"{counted(len(cells), 'run')}, {len(to_do)} to do, in {plain(campaign.folder)}.")


def _tell(
    campaign: Campaign, cells: Sequence[Cell], outcome: Outcome | None, as_json: bool
) -> None:
    """What came out, what failed, and where it lies. Exit code 2 where a run failed."""
    from workbench.grid import summary
    from workbench.grid.campaign import RUNS

    frame = summary.write(campaign)
    over_seeds = summary.write_over_seeds(campaign)
    failed = outcome.failed if outcome is not None else {}
    if as_json:
        print_json(
            {
                "folder": str(campaign.folder),
                "runs": frame.to_dict("records"),
                "over_seeds": {
                    run.made_title: {name: f.says for name, f in run.findings.items()}
                    for run in over_seeds
                },
                "failed": {c.says: failed[c.key].what for c in cells if c.key in failed},
            }
        )
    else:
        _show(frame, cells)
        for run in over_seeds:
            says = run.findings["seeds"].says
            out().print(f"[bold]{plain(run.title)}[/]  {plain(says)}", soft_wrap=True)
        out().print(
            f"{counted(len(frame), 'run')} in {plain(campaign.folder)}; all numbers in"
            f" {summary.FILE}.\n[dim]Look at them: workbench ui --runs"
            f" {plain(campaign.folder / RUNS)}[/]",
            soft_wrap=True,
        )
        if over_seeds:
            out().print(
                f"[dim]What the seeds agree on: workbench ui --runs"
                f" {plain(campaign.folder / summary.OVER_SEEDS)}[/]",
                soft_wrap=True,
            )
    for cell in cells:
        if cell.key in failed:
            error = failed[cell.key]
            complain(WorkbenchError(f"{cell.says}: {error.what}", error.expected, error.do))
    if failed:
        raise typer.Exit(2)


def _show(frame: pd.DataFrame, cells: Sequence[Cell]) -> None:
    varied = [name for name in dict.fromkeys(n for c in cells for n in c.varied) if name in frame]
    numbers = [c for c in frame if c not in {*varied, "folder", "seconds"}][:_SHOWN]
    rows = [
        (*(str(row[name]) for name in varied), *(f"{row[name]:.4g}" for name in numbers))
        for row in frame.to_dict("records")
    ]
    if rows:
        show_table([*varied, *numbers], rows, right=numbers)
