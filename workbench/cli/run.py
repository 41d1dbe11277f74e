"""`workbench analyses` and `workbench run`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench import account
from workbench.cli import parse_values
from workbench.cost import estimate, in_words, is_moment
from workbench.errors import BadInput, Cancelled, WorkbenchError
from workbench.models.known_models import DEFAULT
from workbench.terminal import bar, complain, duration, err, out, plain, print_json, show_table

if TYPE_CHECKING:
    from workbench.progress import Progress
    from workbench.registry import Analysis
    from workbench.result import Finding, Result

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Model = Annotated[
    str, typer.Option("--model", "-m", help="Known name, Hugging Face id, folder, or .gguf file.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N, or balanced (over all GPUs).")]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="float32, bfloat16 or float16. Default: float32 on a CPU, the model's own on a GPU."
    ),
]


def analyses(
    name: Annotated[
        str | None, typer.Argument(help="Show the parameters of this one.", show_default=False)
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="Also say what each part takes on this one.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the questions one can ask, or the parameters and parts of one."""
    from workbench import registry

    if name is not None:
        analysis = registry.get(name)
        _one(analysis, _times(analysis, model), as_json)
        return
    good, broken = registry.all_analyses()
    if as_json:
        listed = [{"name": a.name, "question": a.question, "package": a.package} for a in good]
        print_json({"analyses": listed, "broken": broken})
        return
    show_table(["analysis", "question"], [(a.name, a.question) for a in good])
    for why in broken.values():
        err().print(f"[yellow]{plain(why)}[/]", soft_wrap=True)
    out().print("[dim]Parameters: workbench analyses NAME · Ask: workbench run NAME[/]")


def _times(analysis: Analysis, model: str | None) -> dict[str, float]:
    """Seconds that each part takes by itself on a model, with the default parameters; empty
    without one, and where an analysis does not state its cost.
    """
    if model is None:
        return {}
    import workbench as wb
    from workbench import cost

    return {
        name: one.seconds
        for name, one in cost.by_part(analysis, wb.load(model), analysis.parse({})).items()
    }


def _parts(analysis: Analysis, times: Mapping[str, float]) -> list[dict[str, Any]]:
    default = analysis.running(analysis.parse({})) if analysis.parts else set()
    return [
        {
            "name": part.name,
            "title": part.title,
            "gives": part.gives,
            "default": part.name in default,
            "needs": list(part.needs),
            "stands_on": list(part.stands_on),
            "seconds": times.get(part.name),
        }
        for part in analysis.parts
    ]


def _one(analysis: Analysis, times: Mapping[str, float], as_json: bool) -> None:
    schema = analysis.Params.model_json_schema()
    rows = [_row(name, field, schema) for name, field in schema.get("properties", {}).items()]
    parts = _parts(analysis, times)
    if as_json:
        about = {"name": analysis.name, "question": analysis.question, "package": analysis.package}
        print_json({**about, "parts": parts, "parameters": rows, "schema": schema})
        return
    screen = out()
    screen.print(
        f"[bold]{plain(analysis.name)}[/] "
        f" [dim]{plain(analysis.package)}[/]\n{plain(analysis.question)}"
    )
    if "" in times:
        screen.print(f"[dim]A run with the defaults takes {in_words(times[''])}.[/]")
    if parts:
        show_table(["part", "what it gives"], [(p["name"], _about_part(p)) for p in parts])
    # Two columns, so that the sentences stay readable in a narrow terminal.
    show_table(
        ["parameter", "meaning"],
        [(row["name"], f"{row['description']}\n{_facts(row)}") for row in rows],
    )
    if rows:
        example = json.dumps(rows[0]["default"], ensure_ascii=False).strip('"')
        screen.print(
            f"[dim]Set one: workbench run {plain(analysis.name)} --set"
            f" {plain(rows[0]['name'])}={plain(example)}[/]",
            soft_wrap=True,
        )


def _about_part(part: Mapping[str, Any]) -> str:
    """What it gives; then, in one line, whether a run has it by default, and what it takes."""
    also = [f"with {', '.join(part['stands_on'])}"] if part["stands_on"] else []
    if part["needs"]:
        also.append(f"needs {', '.join(part['needs'])}")
    elif part["default"]:
        also.append("by default")
    if part["seconds"] is not None:
        also.append(in_words(part["seconds"]))
    return f"{part['gives']}\n{', '.join(also) or 'only if asked for'}"


def _facts(row: Mapping[str, Any]) -> str:
    """ "whole number, default 3, ≥ 1, ≤ 1000": what a parameter takes, in one line."""
    default = f"default {json.dumps(row['default'], ensure_ascii=False)}"
    return ", ".join(filter(None, (row["type"], default, row["bounds"])))


def _row(name: str, field: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "type": _type(field, schema),
        "default": field.get("default"),
        "bounds": ", ".join(
            filter(None, (_bounds(part) for part in [field, *field.get("anyOf", ())]))
        ),
        "description": field.get("description", ""),
    }


def _type(field: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """A parameter's type for people, from its JSON schema: "number", "list of text", "zero |
    mean".
    """
    if "$ref" in field:
        return _type(schema.get("$defs", {}).get(field["$ref"].rpartition("/")[2], {}), schema)
    if "const" in field:
        return str(field["const"])
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if "anyOf" in field:
        return " | ".join(_type(part, schema) for part in field["anyOf"])
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}), schema)}"
    words = {
        "string": "text",
        "integer": "whole number",
        "boolean": "true | false",
        "null": "none",
        "object": "table",
    }
    kind = str(field.get("type", "anything"))
    return words.get(kind, kind)


def _bounds(field: Mapping[str, Any]) -> str:
    signs = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
        "pattern": "matches",
    }
    signs |= {
        "minLength": "length ≥",
        "maxLength": "length ≤",
        "minItems": "items ≥",
        "maxItems": "items ≤",
    }
    return ", ".join(f"{sign} {field[key]}" for key, sign in signs.items() if key in field)


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
            help="One parameter; may be given again.",
            show_default=False,
        ),
    ] = None,
    params: Annotated[
        Path | None,
        typer.Option(help="Parameters from a .json or .toml file; --set wins.", show_default=False),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**32 - 1, help="Makes the run repeatable.", show_default=False),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=1000,
            help="As many runs, each with a seed of its own, and one summary.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="paper: all parts that the model allows, at the sizes of the paper; --set wins.",
            show_default=False,
        ),
    ] = None,
    chat: Annotated[
        bool,
        typer.Option("--chat", help="The same as --set chat=true, where an analysis has that."),
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Save the run in this new folder. Default: one of your runs.",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
    dtype: Dtype = None,
    as_json: Json = False,
) -> None:
    """Ask one question of one model, and save the answer as a run."""
    import workbench as wb
    from workbench import models, paths, registry
    from workbench import seeds as over_seeds

    # Everything that can be wrong is looked at before the minutes of loading and computing.
    asked = registry.get(name)
    if chat and "chat" not in asked.Params.model_fields:
        raise BadInput(
            f"{name} does not ask in a chat format.",
            "an analysis with the parameter chat",
            "Leave out --chat.",
        )
    values = parse_values.parameters(
        asked, params, [*(assignments or []), *(["chat=true"] if chat else [])]
    )
    chosen = asked.parse(values if preset is None else asked.preset(preset, None, values))
    if seeds is not None:
        over_seeds.check(asked)
    models.locate(model)
    parse_values.check_writable(
        folder if folder is not None else paths.runs_dir() / ".new", "--out DIR (or WORKBENCH_RUNS)"
    )

    with bar() as progress:
        progress(0.0, f"Loading {model}")
        loaded = wb.load(model, device=device, dtype=dtype, progress=progress)
        progress.check()
    if preset is not None:  # which parts there are depends on the model
        chosen = asked.parse(asked.preset(preset, loaded, values))
    _tell_estimate(asked, loaded, chosen, seeds or 1)
    try:
        with bar() as progress:
            progress(0.0, asked.question)
            result = _run(name, loaded, chosen, seed, seeds, progress)
    except Cancelled as stop:
        if stop.kept is None:
            raise Cancelled("Stopped. There was nothing to keep yet.") from None
        kept: Any = stop.kept
        where = _save(kept, folder)
        if as_json:
            _print_run(where)
        raise Cancelled(f"Stopped. What was finished is kept, marked as partial: {where}") from None
    where = _save(result, folder)
    if as_json:
        _print_run(where)
    else:
        _tell(result, where)


def _run(
    name: str, model: Any, params: Any, seed: int | None, seeds: int | None, progress: Progress
) -> Result:
    """One run, or one for each of several seeds, and their summary."""
    from workbench import runs
    from workbench import seeds as over_seeds

    if seeds is None:
        return runs.run(name, model, params, seed=seed, progress=progress)
    first = seed if seed is not None else getattr(params, "seed", 0)
    return over_seeds.run(name, model, params.model_dump(), range(first, first + seeds), progress)


def _tell_estimate(analysis: Analysis, model: Any, params: Any, times: int) -> None:
    """How long it will take, where that is more than a moment."""
    account.check_parts(analysis, model, params)
    whole = estimate(analysis, model, params)
    if whole is not None and not is_moment(seconds := times * whole.seconds):
        err().print(f"[dim]This takes {in_words(seconds)} here.[/]")


def _save(result: Result, folder: Path | None) -> Path:
    """Save where asked; if that fails now, somewhere else rather than lose the work."""
    from workbench import runs

    try:
        return result.save(folder) if folder is not None else runs.save_new(result)
    except WorkbenchError as error:
        for other in (Path.cwd(), Path(tempfile.gettempdir())):
            try:
                where = runs.save_new(result, other)
            except WorkbenchError:
                continue  # the first failure is the one to report
            complain(
                WorkbenchError(
                    error.what,
                    "",
                    f"The run is kept in {where} instead; move it where you want it.",
                )
            )
            return where
        raise


def _print_run(folder: Path) -> None:
    """What result.json holds, and where it lies."""
    print_json(
        {
            "id": folder.name,
            "path": str(folder),
            **json.loads((folder / "result.json").read_text(encoding="utf-8")),
        }
    )


def _tell(result: Result, folder: Path) -> None:
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
    for name in ("window", "rounding"):
        if says := result.provenance.notes.get(name):
            screen.print(f"  [dim]{plain(says)}[/]", soft_wrap=True)
    if left_out := account.left_out(result):
        screen.print(
            f"  [dim]Not run: {plain(', '.join(part.says for part in left_out))}. One alone:"
            f" {plain(account.command(result, left_out[0].name))}[/]",
            soft_wrap=True,
        )
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
