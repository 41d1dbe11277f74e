"""From what was typed to values: `--set`, `--params`, ranges of layers, and a check of `--out`
before any work is done.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput

if TYPE_CHECKING:
    from workbench.registry import Analysis


def parameters(analysis: Analysis, file: Path | None, assignments: Sequence[str]) -> dict[str, Any]:
    """Values for the analysis's `Params` from a file and `key=value` pairs; the pairs win.

    Raises:
        BadInput: no assignment, or a file that cannot be used.
    """
    values = dict(read_params(file)) if file is not None else {}
    properties = analysis.Params.model_json_schema().get("properties", {})
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise BadInput(
                f"--set {assignment!r} is not an assignment.",
                "key=value",
                f"`workbench analyses {analysis.name}` lists the keys.",
            )
        values[key] = value_of(text, properties.get(key, {}))
    return values


def value_of(text: str, schema: Mapping[str, Any]) -> Any:
    """JSON where the text is JSON, otherwise the text itself.

    What the parameter wants decides the doubtful cases: `7` for a text stays "7", for a list `a,b`
    is ["a", "b"] and `8` is [8].
    """
    kinds = _kinds(schema)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if "array" in kinds and "string" not in kinds:
            return [
                value_of(part.strip(), _items(schema)) for part in text.split(",") if part.strip()
            ]
        return text
    if not kinds or kinds & _kinds_of(value):
        return value
    if "string" in kinds:
        return text
    return [value_of(text, _items(schema))] if "array" in kinds else value


def wants_list(schema: Mapping[str, Any]) -> bool:
    """Whether a parameter is a list."""
    return "array" in _kinds(schema)


def _kinds_of(value: Any) -> set[str]:
    """The JSON types that a value has."""
    if isinstance(value, bool) or value is None:
        return {"null" if value is None else "boolean"}
    names = {
        int: {"integer", "number"},
        float: {"number"},
        str: {"string"},
        list: {"array"},
        dict: {"object"},
    }
    return names[type(value)]


def _items(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the items of a list must be; {} if the schema does not say."""
    parts = [schema, *schema.get("anyOf", ())]
    return next((part["items"] for part in parts if isinstance(part.get("items"), Mapping)), {})


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    """JSON types a schema allows; empty if it does not say."""
    if "type" in schema:
        return {schema["type"]}
    if "enum" in schema:
        return {"string"} if all(isinstance(v, str) for v in schema["enum"]) else set()
    return {kind for part in schema.get("anyOf", ()) for kind in _kinds(part)}


def read_params(file: Path) -> Mapping[str, Any]:
    """Parameters from a `.json` or `.toml` file.

    Raises:
        BadInput: another kind of file, wrong encoding, damaged, or not a table of parameters.
    """
    if not file.is_file():
        raise BadInput(
            f"There is no parameter file {str(file)!r}.", "a .json or .toml file", "Check the path."
        )
    if file.suffix.lower() not in {".json", ".toml"}:
        raise BadInput(
            f"{file} is not a parameter file.", "a .json or .toml file", "Rename it, or convert it."
        )
    try:
        text = file.read_text(encoding="utf-8-sig")
        values = tomllib.loads(text) if file.suffix.lower() == ".toml" else json.loads(text)
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{file} is not UTF-8: {error.reason} at byte {error.start}.",
            "UTF-8 text",
            "Save it as UTF-8.",
        ) from error
    except ValueError as error:
        raise BadInput(
            f"{file} is damaged: {error}.",
            f"valid {file.suffix[1:].upper()}",
            "Correct it at the place named.",
        ) from error
    if not isinstance(values, dict):
        raise BadInput(
            f"{file} holds no parameters.",
            'names and values, e.g. {"seed": 1}',
            "Put them into one object.",
        )
    return values


def numbers(text: str | None, what: str, *, negative: bool = False) -> list[int] | None:
    """`"0,3-5"` is [0, 3, 4, 5];

    None stays None. With `negative`, `"-1"` counts from the end and ranges are not read.

    Raises:
        BadInput: anything else.
    """
    if text is None:
        return None
    found: list[int] = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        span = re.fullmatch(r"(\d{1,6})-(\d{1,6})", part)
        if re.fullmatch(r"-?\d{1,9}" if negative else r"\d{1,9}", part):
            found.append(int(part))
        elif span and int(span[1]) <= int(span[2]):
            found.extend(range(int(span[1]), int(span[2]) + 1))
        else:
            example = "0,-1" if negative else "0,3-5"
            raise BadInput(
                f"{part!r} names no {what}.",
                f"numbers with commas, e.g. {example}",
                f"Correct --{what}s.",
            )
    if not found:
        raise BadInput(f"--{what}s is empty.", "at least one number", "Leave it out to take all.")
    return found
