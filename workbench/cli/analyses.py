"""`workbench analyses`: the questions that can be asked, with their parameters, parts and cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench import presets
from workbench.cli.run import Json
from workbench.cost import in_words
from workbench.rooms import grouped
from workbench.terminal import err, out, plain, print_json, show_table

if TYPE_CHECKING:
    from workbench.registry import Analysis


def analyses(
    name: Annotated[
        str | None,
        typer.Argument(help="Show the parts and parameters of this analysis.", show_default=False),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Also show how long each part takes on this model.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the analyses, or the parts and parameters of one."""
    from workbench import registry

    if name is not None:
        analysis = registry.get(name)
        _print_analysis(analysis, _times(analysis, model), as_json)
        return
    good, broken = registry.all_analyses()
    if as_json:
        listed = [_about(a) for a in good]
        print_json({"analyses": listed, "broken": broken})
        return
    rows = [(room.title, a.name, a.question) for room, some in grouped(good) for a in some]
    show_table(["where", "analysis", "question"], rows)
    for why in broken.values():
        err().print(f"[yellow]{plain(why)}[/]", soft_wrap=True)
    out().print("[dim]Parameters: workbench analyses NAME · Run one: workbench run NAME[/]")


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


def _print_analysis(analysis: Analysis, times: Mapping[str, float], as_json: bool) -> None:
    schema = analysis.Params.model_json_schema()
    rows = [_row(name, field, schema) for name, field in schema.get("properties", {}).items()]
    parts = _parts(analysis, times)
    if as_json:
        told = {name: presets.says(analysis, name) for name in analysis.presets}
        found = {"parts": parts, "presets": told, "parameters": rows, "schema": schema}
        print_json({**_about(analysis), **found})
        return
    screen = out()
    screen.print(
        f"[bold]{plain(analysis.name)}[/] "
        f" [dim]{plain(analysis.package)}[/]\n{plain(analysis.question)}"
    )
    if "" in times:
        screen.print(f"[dim]A run with the defaults takes {in_words(times[''])}.[/]")
    if parts:
        show_table(["part", "what it measures"], [(p["name"], _about_part(p)) for p in parts])
    if analysis.presets:
        changes = [(name, presets.says(analysis, name)) for name in analysis.presets]
        show_table(["preset", "what it changes"], changes)
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


def _about(analysis: Analysis) -> dict[str, str]:
    return {
        "name": analysis.name,
        "question": analysis.question,
        "gives": analysis.gives,
        "room": analysis.room.name,
        "package": analysis.package,
    }


def _about_part(part: Mapping[str, Any]) -> str:
    """What it gives; then, in one line, whether a run has it by default, and what it takes."""
    also = [f"with {', '.join(part['stands_on'])}"] if part["stands_on"] else []
    if part["needs"]:
        also.append(f"needs {', '.join(part['needs'])}")
    elif part["default"]:
        also.append("by default")
    if part["seconds"] is not None:
        also.append(in_words(part["seconds"]))
    return f"{part['gives']}\n{', '.join(also) or 'only on request'}"


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
