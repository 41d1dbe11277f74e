"""A form from an analysis's `Params`: every field becomes the Gradio component that fits its type
and bounds.

    bool -> checkbox            Literal, Enum -> radio or dropdown       Path -> file upload
    int, float -> slider when both bounds are given, else a number       str -> text, several lines
    where the default has them
    list of choices -> checkbox group      list of texts -> one per line, of numbers -> with commas
    anything else -> JSON text with `examples` -> dropdown that also takes any other text X | None
    -> the component of X; left empty it is None

What a form hands back goes through `Analysis.parse`, so a form never has to judge a value itself.
"""

from __future__ import annotations

import enum
import json
import math
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import gradio as gr
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from workbench.errors import BadInput

RADIO_AT_MOST = 4
SLIDER_STEPS = 1000
LONG_TEXT = 200  # a text that may be this long gets more than one line
JSON_HINT = "As JSON."


@dataclass(frozen=True)
class Field:
    """One field of a form: `read` turns what the component holds into a value for
    `Analysis.parse`.
    """

    name: str
    component: Any
    read: Callable[[Any], Any]


@dataclass(frozen=True)
class _Bounds:
    low: float | None = None
    high: float | None = None
    step: float | None = None
    length: int | None = None


def build(
    params: type[BaseModel], choices: Mapping[str, Sequence[tuple[str, str]]] | None = None
) -> list[Field]:
    """Components for all fields, in order; call it inside the Gradio container that holds the
    form.

    Args:
        choices: for fields that are lists of choices: what a person reads, and the value.
    """
    named = choices or {}
    return [_field(name, info, named.get(name)) for name, info in params.model_fields.items()]


def read(fields: Sequence[Field], raw: Sequence[Any]) -> dict[str, Any]:
    """The form's values by name.

    Raises:
        BadInput: a field that must be JSON is not.
    """
    return {field.name: field.read(value) for field, value in zip(fields, raw, strict=True)}


def label(name: str, info: FieldInfo) -> str:
    """ "n_facts" -> "N facts", unless the field has a title of its own."""
    return info.title or name.replace("_", " ").strip().capitalize()


def _field(name: str, info: FieldInfo, choices: Sequence[tuple[str, str]] | None = None) -> Field:
    kind, optional, metadata = _unwrap(info.annotation, list(info.metadata))
    default = None if info.is_required() else info.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        default = None
    extra: dict[str, Any] = (
        dict(info.json_schema_extra) if isinstance(info.json_schema_extra, dict) else {}
    )
    if info.examples:
        extra["examples"] = info.examples
    if choices:
        extra["choices"] = list(choices)
    common = {
        "label": label(name, info),
        "info": info.description,
        "elem_id": f"param-{name}",
        "interactive": True,
    }
    component, reader = _component(kind, default, _bounds(metadata), common, extra, optional)
    return Field(name, component, reader)


def _component(
    kind: Any,
    default: Any,
    bounds: _Bounds,
    common: dict[str, Any],
    extra: Mapping[str, Any],
    optional: bool,
) -> tuple[Any, Callable[[Any], Any]]:
    choices = _choices(kind)
    if choices is not None:
        return _choice(choices, default, common, optional)
    if kind is bool and not optional:
        return gr.Checkbox(value=bool(default), **common), bool
    if kind in (int, float):
        return _number(kind, default, bounds, common, optional)
    if extra.get("widget") == "file" or (isinstance(kind, type) and issubclass(kind, Path)):
        return _file(common)
    if kind is str:
        return _string(default, bounds, common, extra, optional)
    if get_origin(kind) in (list, tuple, set, frozenset, Sequence):
        return _many(kind, default, common, extra, optional)
    shown = "" if default is None else json.dumps(_plain(default), ensure_ascii=False)
    common["info"] = _sentences(common["info"], JSON_HINT)
    return gr.Textbox(value=shown, lines=1 + (len(shown) > 80), **common), _json_reader(
        common["label"]
    )


def _choice(
    choices: list[Any], default: Any, common: dict[str, Any], optional: bool
) -> tuple[Any, Callable[[Any], Any]]:
    held = default.value if isinstance(default, enum.Enum) else default
    if optional:
        offered = [("(none)", ""), *choices]
        return gr.Dropdown(offered, value="" if held is None else held, **common), _empty_is_none
    few = len(choices) <= RADIO_AT_MOST
    return (gr.Radio if few else gr.Dropdown)(choices, value=held, **common), _same


def _file(common: dict[str, Any]) -> tuple[Any, Callable[[Any], Any]]:
    # A file component shows no `info`, so its label says it all.
    about = f"{common['label']}: {common['info']}" if common["info"] else common["label"]
    box = gr.File(
        label=about, type="filepath", elem_id=common["elem_id"], interactive=True, height=190
    )
    return box, _same


def _string(
    default: Any, bounds: _Bounds, common: dict[str, Any], extra: Mapping[str, Any], optional: bool
) -> tuple[Any, Callable[[Any], Any]]:
    text, reader = "" if default is None else str(default), _empty_is_none if optional else _text
    if extra.get("examples"):
        # Known values to choose from, while any other text may be typed.
        return (
            gr.Dropdown(
                [str(e) for e in extra["examples"]],
                value=text or None,
                allow_custom_value=True,
                **common,
            ),
            reader,
        )
    several = extra.get("multiline") or (bounds.length or 0) >= LONG_TEXT
    lines = min(max(text.count("\n") + 1, 2 if several else 1), 8)
    # Enter belongs to texts that may have several lines.
    return gr.Textbox(value=text, lines=lines, max_lines=12 if lines > 1 else 1, **common), reader


def _number(
    kind: type, default: Any, bounds: _Bounds, common: dict[str, Any], optional: bool
) -> tuple[Any, Callable[[Any], Any]]:
    reader = _whole if kind is int else _same
    low, high = bounds.low, bounds.high
    if low is not None and high is not None and default is not None and not optional:
        step = bounds.step or (
            1 if kind is int else 10 ** math.floor(math.log10((high - low) / 100))
        )
        steps = (default - low) / step
        # A slider that cannot stand on the default would change it silently.
        if (high - low) / step <= SLIDER_STEPS and abs(steps - round(steps)) < 1e-6:
            return gr.Slider(low, high, value=default, step=step, **common), reader
    # The bounds are said, not enforced here: Gradio's own complaint passes by, that of
    # `Analysis.parse` stays and explains.
    said = " ".join(
        f"{word} {bound:,}."
        for word, bound in (("At least", low), ("At most", high))
        if bound is not None
    )
    common["info"] = _sentences(common["info"], said)
    number = gr.Number(
        value=default, step=bounds.step or 1, precision=0 if kind is int else None, **common
    )
    return number, reader


def _many(
    kind: Any, default: Any, common: dict[str, Any], extra: Mapping[str, Any], optional: bool
) -> tuple[Any, Callable[[Any], Any]]:
    inner = next((a for a in get_args(kind) if a is not Ellipsis), str)
    inner, _, _ = _unwrap(inner, [])
    held = [] if default is None else [v.value if isinstance(v, enum.Enum) else v for v in default]
    choices = _choices(inner)
    if choices is not None:
        return gr.CheckboxGroup(extra.get("choices", choices), value=held, **common), (
            lambda v: list(v) if v or not optional else None
        )
    if inner is str:
        return _texts(held, common, bool(extra.get("multiline")), optional)
    if inner in (int, float):
        common["info"] = _sentences(common["info"], "Separated by commas.")
        shown = ", ".join(str(v) for v in held)
        return gr.Textbox(value=shown, lines=1, max_lines=1, **common), partial(_numbers, optional)
    shown = json.dumps(_plain(held), ensure_ascii=False)
    common["info"] = _sentences(common["info"], JSON_HINT)
    return gr.Textbox(value=shown, **common), _json_reader(common["label"])


def _numbers(optional: bool, text: str | None) -> list[str] | None:
    """Texts of numbers, which pydantic reads."""
    kept = [part.strip() for part in re.split(r"[,;\s]+", text or "") if part.strip()]
    return kept if kept or not optional else None


def _texts(
    held: list[str], common: dict[str, Any], breaks: bool, optional: bool
) -> tuple[Any, Callable[[Any], Any]]:
    """A text per line, taken as it stands, backslashes and all; texts that have line breaks of
    their own (`breaks`) are written as JSON.
    """
    common["info"] = _sentences(
        common["info"],
        'One per line; or, for texts with line breaks, as JSON: ["a\\nb", "c"].'
        if breaks
        else "One per line.",
    )

    def items(text: str | None) -> list[str] | None:
        written = _json_texts(text or "") if breaks else None
        lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
        kept = lines if written is None else written
        return kept if kept or not optional else None

    shown = "\n".join(str(v) for v in held)
    if breaks and items(shown) != held:
        shown = json.dumps(held, ensure_ascii=False, indent=1)
    rows = max(2, min(len(held), 6))
    return gr.Textbox(value=shown, lines=rows, max_lines=12, **common), items


def _json_texts(text: str) -> list[str] | None:
    """The texts of a JSON list; None if it is none, and then every line is a text."""
    if not text.lstrip().startswith("["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return (
        value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None
    )


def _unwrap(annotation: Any, metadata: list[Any]) -> tuple[Any, bool, list[Any]]:
    """The type without `Annotated` and `| None`, whether None is allowed, and the constraints
    met on the way.
    """
    optional = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *more = get_args(annotation)
            metadata = [*metadata, *more]
        elif origin in (Union, types.UnionType):
            rest = [a for a in get_args(annotation) if a is not type(None)]
            optional = optional or len(rest) < len(get_args(annotation))
            if len(rest) != 1:
                return annotation, optional, metadata
            annotation = rest[0]
        else:
            return annotation, optional, metadata


def _bounds(metadata: Sequence[Any]) -> _Bounds:
    low = high = step = length = None
    for item in metadata:
        # A nested FieldInfo (from Annotated[int, Field(ge=1)]) carries its constraints in its own
        # metadata.
        for one in getattr(item, "metadata", None) or [item]:
            low = _first(getattr(one, "ge", None), getattr(one, "gt", None), low)
            high = _first(getattr(one, "le", None), getattr(one, "lt", None), high)
            step = _first(getattr(one, "multiple_of", None), step)
            length = _first(getattr(one, "max_length", None), length)
    return _Bounds(low, high, step, length)


def _first(*values: Any) -> Any:
    return next((v for v in values if v is not None), None)


def _choices(kind: Any) -> list[tuple[str, Any]] | None:
    if get_origin(kind) is Literal:
        return [(str(v), v) for v in get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return [(str(m.value), m.value) for m in kind]
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _sentences(*parts: str | None) -> str:
    """Joined, each with its full stop."""
    return " ".join(part if part[-1] in ".!?:…" else f"{part}." for part in parts if part)


def _same(value: Any) -> Any:
    return value


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _empty_is_none(value: Any) -> Any:
    return None if value in ("", None) else value


def _json_reader(name: str) -> Callable[[Any], Any]:
    def reader(text: Any) -> Any:
        if text is None or not str(text).strip():
            return None
        try:
            return json.loads(text)
        except ValueError as error:
            # A bare word is what people type for a text; anything that starts like JSON was meant
            # to be JSON.
            if str(text).lstrip()[:1] not in '[{"':
                return text
            raise BadInput(
                f"{name} is not JSON: {error}.",
                'for example ["a", "b"] or {"key": 1}',
                "Correct it.",
            ) from error

    return reader
