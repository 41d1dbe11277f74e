"""`workbench grid`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli import parse_values
from workbench.cli.run import Bits, Device, Dtype, Json, MaxMemory, Offload
from workbench.cli.workers import Address, Engine
from workbench.errors import BadInput, WorkbenchError
from workbench.models.known_models import DEFAULT
from workbench.terminal import bar, complain, err, out, plain, print_json, show_table
from workbench.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from workbench.grid.campaign import Campaign
    from workbench.grid.plan import PlannedRun
    from workbench.grid.run import Grid
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
                "Folder of the grid. One that was begun goes on. Default: a new one among the runs."
            ),
            show_default=False,
        ),
    ] = None,
    engine: Engine = "local",
    address: Address = None,
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
    max_memory: MaxMemory = None,
    offload: Offload = None,
    bits: Bits = None,
    as_json: Json = False,
) -> None:
    """Run an analysis on every model with every combination of parameters.

    Runs that are there already are not run again, so the same command goes on after a stop.
    """
    from workbench import paths, registry
    from workbench.grid import plan, run
    from workbench.grid.campaign import Campaign
    from workbench.grid.engine import Loading
    from workbench.grid.where import Where, check

    asked = registry.get(name)
    fixed = dict(parse_values.read_params(params)) if params is not None else {}
    values = _values(asked, assignments or [])
    place = folder if folder is not None else paths.runs_dir() / _new_name(name)
    loading = Loading(device, dtype, max_memory, str(offload) if offload else None, bits)
    where = Where(engine, address, workers, loading)
    check(where)
    if plan_only:
        cells = plan.cells(asked, model_refs or [DEFAULT], values, fixed)
        _show_plan(Campaign(place, cells), cells, as_json)
        return
    with bar() as progress:
        done = run.run_grid(
            name,
            model_refs or [DEFAULT],
            values,
            out=place,
            fixed=fixed,
            where=where,
            progress=progress,
            say=lambda text: err().print(f"[dim]{plain(text)}[/]"),
            link=True,
        )
    _tell(done, list(values), as_json)


def _new_name(analysis: str) -> str:
    return f"grid-{analysis}-{dt.datetime.now():%Y%m%d-%H%M%S}"


def _values(asked: Analysis, assignments: Sequence[str]) -> dict[str, list[Any]]:
    """Values by parameter.

    Raises:
        BadInput: no assignment, a parameter twice, or a list that is not written as JSON.
    """
    from workbench.grid import plan

    values: dict[str, list[Any]] = {}
    properties = asked.Params.model_json_schema().get("properties", {})
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key or key in values:
            twice = "sets a parameter twice" if key in values else "is not an assignment"
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
        values[key] = [
            parse_values.value_of(part.strip(), properties.get(key, {})) for part in parts
        ]
    return values


def _show_plan(campaign: Campaign, cells: Sequence[PlannedRun], as_json: bool) -> None:
    waiting = {cell.key for cell in cells if not campaign.done(cell)}
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
    out().print(f"{counted(len(cells), 'run')}, {len(waiting)} to do, in {plain(campaign.folder)}.")


def _tell(done: Grid, varied: Sequence[str], as_json: bool) -> None:
    """What came out, what failed, and where it lies. Exit code 2 where a run failed."""
    from workbench.grid.page import FILE

    says = {name: finding.says for name, finding in done.result.findings.items()}
    if as_json:
        print_json(
            {
                "folder": str(done.folder),
                "runs": done.table.to_dict("records"),
                "findings": says,
                "failed": {name: error.what for name, error in done.failed.items()},
            }
        )
    else:
        _show(done.table, ["model", *varied])
        for sentence in says.values():
            out().print(plain(sentence), soft_wrap=True)
        out().print(
            f"[dim]Its page: workbench ui, then Runs. All numbers: {plain(done.folder / FILE)}[/]",
            soft_wrap=True,
        )
    for name, error in done.failed.items():
        complain(WorkbenchError(f"{name}: {error.what}", error.expected, error.do))
    if done.failed:
        raise typer.Exit(2)


def _show(frame: pd.DataFrame, varied: Sequence[str]) -> None:
    first = [name for name in varied if name in frame]
    numbers = [c for c in frame if c not in {*first, "folder", "seconds"}][:_SHOWN]
    rows = [
        (*(str(row[name]) for name in first), *(f"{row[name]:.4g}" for name in numbers))
        for row in frame.to_dict("records")
    ]
    if rows:
        show_table([*first, *numbers], rows, right=numbers)
