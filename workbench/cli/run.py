"""`workbench run`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench import account, commands, disk_space, remote
from workbench.cli import parse_values
from workbench.cli.workers import Address, Engine, on_workers
from workbench.cost import estimate, in_words, is_moment
from workbench.errors import BadInput, Cancelled, WorkbenchError
from workbench.models.known_models import DEFAULT
from workbench.terminal import bar, complain, duration, err, out, plain, print_json

if TYPE_CHECKING:
    from workbench.grid.where import Where
    from workbench.registry import Analysis
    from workbench.result import Finding, Result

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Model = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="Known name, Hugging Face id, folder, .gguf file, or MODEL+ADAPTER."
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N, or balanced (over all GPUs).")]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="float32, bfloat16 or float16. Default: float32 on a CPU, the model's own on a GPU."
    ),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        "--max-memory",
        metavar="PLACE=SIZE,…",
        help="Spread the weights over these places, with at most so much in each:"
        " cuda:0=10GB,cpu=30GB.",
        show_default=False,
    ),
]
Offload = Annotated[
    Path | None,
    typer.Option(
        "--offload",
        metavar="FOLDER",
        help="Folder for the weights that find no room; every pass reads them from there.",
        show_default=False,
    ),
]
Bits = Annotated[
    int | None,
    typer.Option(help="Round the weights to 8 or 4 bits as they are read.", show_default=False),
]


def run(
    name: Annotated[
        str,
        typer.Argument(help="The analysis; `workbench analyses` lists them.", show_default=False),
    ],
    model: Model = DEFAULT,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set a parameter; repeat for several.",
            show_default=False,
        ),
    ] = None,
    params: Annotated[
        Path | None,
        typer.Option(
            help="Parameters from a .json or .toml file; --set overrides it.", show_default=False
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=2**32 - 1,
            help="Random seed; the same seed gives the same run.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=1000,
            help="Number of runs, each with its own seed, and a summary.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help=(
                "quick: a first look in about a minute; paper: all parts that the model allows, at"
                " the paper's sizes. --set overrides."
            ),
            show_default=False,
        ),
    ] = None,
    chat: Annotated[
        bool,
        typer.Option("--chat", help="Same as --set chat=true, for analyses with that parameter."),
    ] = False,
    folder: Annotated[
        str | None,
        typer.Option(
            "--out",
            help="New folder for the run, or an address (s3://…). Default: one among your runs.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000,
            help=(
                "Share the work between this many processes, each with its own model; the numbers"
                " are the same for any number."
            ),
            show_default=False,
        ),
    ] = None,
    engine: Engine = "local",
    address: Address = None,
    device: Device = "auto",
    dtype: Dtype = None,
    max_memory: MaxMemory = None,
    offload: Offload = None,
    bits: Bits = None,
    as_json: Json = False,
) -> None:
    """Run an analysis on a model, and save the result as a run."""
    import workbench as wb
    from workbench import models, paths, registry, run_workers, runs
    from workbench import seeds as over_seeds
    from workbench.grid.engine import Loading
    from workbench.grid.where import Where

    # Everything that can be wrong is looked at before the minutes of loading and computing.
    asked = registry.get(name)
    if chat and "chat" not in asked.Params.model_fields:
        raise BadInput(
            f"{name} does not use a chat format.",
            "an analysis with the parameter chat",
            "Leave out --chat.",
        )
    values = parse_values.parameters(
        asked, params, [*(assignments or []), *(["chat=true"] if chat else [])]
    )
    chosen = asked.parse(values if preset is None else asked.preset(preset, None, values))
    if seeds is not None:
        over_seeds.check(asked)
    elif workers is not None:
        run_workers.check(asked)
    models.locate(model)
    loading = Loading(device, dtype, max_memory, str(offload) if offload else None, bits)
    crew = on_workers(workers, model, engine, address, loading)
    if remote.is_address(folder):
        remote.check_free(str(folder))
    else:
        place = Path(folder) if folder is not None else paths.runs_dir() / ".new"
        disk_space.check_writable(place, "--out DIR (or WORKBENCH_RUNS)")

    if seeds is not None:
        if preset is not None:  # which parts there are depends on the model
            chosen = asked.parse(asked.preset(preset, wb.load(model, **asdict(loading)), values))
        spread = Where(engine, address, workers, loading)
        _finish(_many(name, model, chosen, seed, seeds, spread), folder, as_json)
        return
    with bar() as progress:
        progress(0.0, f"Loading {model}")
        loaded = wb.load(
            model, device, dtype, progress, max_memory=max_memory, offload=offload, bits=bits
        )
        progress.check()
    if preset is not None:  # which parts there are depends on the model
        chosen = asked.parse(asked.preset(preset, loaded, values))
    chosen = account.with_possible_parts(asked, loaded, chosen)
    _tell_estimate(asked, loaded, chosen)
    try:
        with bar() as progress:
            progress(0.0, asked.question)
            result = runs.run(name, loaded, chosen, seed=seed, progress=progress, workers=crew)
    except Cancelled as stop:
        if stop.kept is None:
            raise Cancelled("Stopped. Nothing was finished yet, so nothing was saved.") from None
        kept: Any = stop.kept
        where = _save(kept, folder)
        if as_json:
            _print_run(where)
        raise Cancelled(f"Stopped. What was finished is saved as a partial run: {where}") from None
    _finish(result, folder, as_json)


def _many(
    name: str,
    model: str,
    params: Any,
    seed: int | None,
    seeds: int,
    where: Where,
) -> Result:
    """One run for each of several seeds, and their summary."""
    from workbench.grid.many_seeds import run_seeds

    first = seed if seed is not None else params.seed
    with bar() as progress:
        return run_seeds(
            name,
            model,
            params.model_dump(mode="json"),
            range(first, first + seeds),
            where=where,
            progress=progress,
            say=lambda text: err().print(f"[dim]{plain(text)}[/]"),
        )


def _finish(result: Result, folder: str | None, as_json: bool) -> None:
    """Save, and say what was found and where it lies."""
    where = _save(result, folder)
    if as_json:
        _print_run(where)
    else:
        _tell(result, where, folder if remote.is_address(folder) else None)


def _tell_estimate(analysis: Analysis, model: Any, params: Any) -> None:
    """How long it will take, where that is more than a moment."""
    account.check_parts(analysis, model, params)
    whole = estimate(analysis, model, params)
    if whole is not None and not is_moment(seconds := whole.seconds):
        beside = f", and {disk_space.size(whole.bytes)} beside the weights" if whole.bytes else ""
        err().print(f"[dim]This takes {in_words(seconds)} here{beside}.[/]")


def _save(result: Result, folder: str | None) -> Path:
    """Save where asked; if that fails now, somewhere else rather than lose the work."""
    from workbench import runs

    try:
        return result.save(folder) if folder is not None else runs.save_new(result)
    except WorkbenchError as error:
        where = runs.rescue(result, error)
        complain(
            WorkbenchError(
                error.what, "", f"The run is saved in {where} instead; move it where you want it."
            )
        )
        return where


def _print_run(folder: Path) -> None:
    """What result.json holds, and where it lies."""
    print_json(
        {
            "id": folder.name,
            "path": str(folder),
            **json.loads((folder / "result.json").read_text(encoding="utf-8")),
        }
    )


def _tell(result: Result, folder: Path, address: str | None) -> None:
    screen = out()
    expected = account.estimated(result)
    about = f", expected {duration(expected)}" if expected is not None else ""
    took = duration(result.provenance.duration)
    screen.print(f"[bold]{plain(result.title)}[/]  [dim]{took}{about}[/]")
    for finding in result.findings.values():
        screen.print(f"  • {plain(finding.says)}", soft_wrap=True)
        screen.print(
            f"    [dim]{plain(finding.name)}: {plain(_numbers(finding))}[/]", soft_wrap=True
        )
    for name in ("window", "rounding", "memory"):
        if says := result.provenance.notes.get(name):
            screen.print(f"  [dim]{plain(says)}[/]", soft_wrap=True)
    if left_out := account.left_out(result):
        screen.print(
            f"  [dim]Not run: {plain(', '.join(part.says for part in left_out))}. One alone:"
            f" {plain(commands.command_line(result, left_out[0].name))}[/]",
            soft_wrap=True,
        )
    if address is not None and result.path == folder:
        screen.print(f"\nSaved as {plain(address)}", soft_wrap=True)
        screen.print(f"[dim]Read it: workbench report {plain(address)}[/]", soft_wrap=True)
        return
    shown = f'"{folder}"' if " " in str(folder) else str(folder)
    screen.print(f"\nSaved as {plain(folder)}", soft_wrap=True)
    screen.print(
        f"[dim]Read it: workbench report {plain(shown)}\nExplore it: workbench ui --runs"
        f" {plain(folder.parent)}[/]",
        soft_wrap=True,
    )


def _numbers(finding: Finding) -> str:
    unit = f" {finding.unit}" if finding.unit else ""
    spans = (
        finding.interval if isinstance(finding.interval, Mapping) else {"value": finding.interval}
    )
    parts = []
    for name, value in finding.values.items():
        span = spans.get(name)
        interval = f" ({span[0]:.3g} to {span[1]:.3g})" if span else ""
        label = "" if name == "value" else f"{name} "
        parts.append(
            f"{label}{value:.4g}{interval}" if value is not None else f"{label}not measured"
        )
    return ", ".join(parts) + unit
