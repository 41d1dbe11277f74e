"""`workbench card`: what is known of one model's memory, on one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.cli.run import Device, Dtype
from workbench.cli.runs import Runs
from workbench.disk_space import check_writable
from workbench.errors import BadInput, WorkbenchError
from workbench.terminal import bar, complain, err, out, plain

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

_PAGES = (".html", ".pdf", ".ipynb", ".zip")


def card(
    model: Annotated[str, typer.Argument(help="What `wb.load` takes.", show_default=False)],
    beside: Annotated[
        str,
        typer.Option(help="A second model, or another step, whose card stands beside."),
    ] = "",
    fill: Annotated[
        bool,
        typer.Option("--fill", help="First run what is missing. Stopped, it goes on from there."),
    ] = False,
    minutes: Annotated[
        float,
        typer.Option(min=0.1, help="With --fill: what takes longer stays open."),
    ] = 15.0,
    file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write: .html, .pdf, .md or .json. Without it the card is a run.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    folder: Runs = None,
    device: Device = "auto",
    dtype: Dtype = None,
) -> None:
    """Put together what finished runs say of one model: a row for each question."""
    import workbench as wb
    from workbench import models, runs

    _check(file, force)
    if folder is not None and not folder.is_dir():
        raise WorkbenchError(
            f"There is no folder {str(folder)!r}.", "a folder with runs", "Check --runs."
        )
    for ref in filter(None, (model, beside)):
        models.locate(ref)
    with bar() as progress:
        progress(0.0, f"Loading {model}")
        loaded = wb.load(model, device, dtype, progress)
        progress.check()
    params = {"beside": beside, "runs": "" if folder is None else str(folder.resolve())}
    if fill:
        _fill(loaded, params, folder, minutes)
    with bar() as progress:
        made = runs.run("card", loaded, params, progress=progress)
    where = runs.save_new(made, folder)
    for finding in made.findings.values():
        out().print(f"  • {plain(finding.says)}", soft_wrap=True)
    out().print(f"\nSaved as {plain(where)}", soft_wrap=True)
    if file is not None:
        out().print(f"Written to {plain(_write(made, file, force))}", soft_wrap=True)


def _check(file: Path | None, force: bool) -> None:
    """Before anything is loaded: whether the file can be written."""
    if file is None:
        return
    if file.suffix.lower() not in (*_PAGES, ".md", ".json"):
        raise BadInput(
            f"A card cannot be written as {file.name!r}.",
            "a name that ends in .html, .pdf, .md or .json",
            "For example: -o card.html",
        )
    if file.exists() and not force:
        raise WorkbenchError(
            f"{file} exists already.", "a new file", "Choose another -o, or add --force."
        )
    if not file.exists():
        check_writable(file, "-o FILE")


def _fill(model: Any, params: dict[str, str], folder: Path | None, minutes: float) -> None:
    """Run what the card lacks, one analysis after the other; each is saved when it ends."""
    from workbench import runs

    with bar() as progress:
        now = runs.run("card", model, {**params, "beside": ""}, progress=progress)
    missing = _plan(now, minutes)
    if missing.empty:
        err().print(f"Nothing is missing that can be run in {minutes:g} minutes.")
        return
    err().print("To be run:")
    for row in missing.itertuples():
        takes = f" ({plain(row.takes)})" if row.takes else ""
        err().print(f"  {plain(row.analysis)}: {plain(row.asks)}{takes}")
    for analysis in missing["analysis"].unique():
        try:
            with bar() as progress:
                progress(0.0, str(analysis))
                result = runs.run(str(analysis), model, progress=progress)
            err().print(f"[dim]{plain(runs.save_new(result, folder))}[/]", soft_wrap=True)
        except WorkbenchError as problem:  # the other rows can still be filled
            complain(problem)


def _plan(made: Result, minutes: float) -> pd.DataFrame:
    """The rows to be run, what is shortest first; a time that nobody knows is not too long."""
    table = made.tables["card"]
    rows = table[(table["state"] == "not measured") & ~(table["seconds"] > 60 * minutes)]
    return rows.sort_values("seconds")


def _write(made: Result, file: Path, force: bool) -> Path:
    from workbench import card_file, checkpointing
    from workbench.frontends import front_end

    if file.suffix.lower() in _PAGES:
        written: Path = front_end("report")(made, file, force)
        return written
    text = (
        card_file.as_json(made) if file.suffix.lower() == ".json" else card_file.as_markdown(made)
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        checkpointing.replace(file, text)
    except OSError as error:
        raise WorkbenchError(
            f"The card could not be written to {file}: {error.strerror or error}.",
            "a folder with free space that you may write to",
            "Choose another place with -o.",
        ) from error
    return file
