"""A form from an analysis's `Params`: every field becomes the Gradio component that fits its type
and bounds.

    bool -> checkbox            Literal, Enum -> radio or dropdown       Path -> path, or an upload
    int, float -> slider when both bounds are given, else a number       str -> text, several lines
    where the default has them
    list of choices -> checkbox group      list of texts -> one per line, of numbers -> with commas
    anything else -> JSON text with `examples` -> dropdown that also takes any other text X | None
    -> the component of X; left empty it is None

The few essential fields (`workbench.form_fields`) stand first, all others under *More settings*.
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

from ui.playground import uploads
from ui.playground.theme import QUIET
from workbench.errors import BadInput
from workbench.form_fields import essential, extra, label

RADIO_AT_MOST = 4
SLIDER_STEPS = 1000
LONG_TEXT = 200  # a text that may be this long gets more than one line
JSON_HINT = "As JSON."


@dataclass(frozen=True)
class Field:
    """One field of a form: `read` turns what the component holds into a value for
    `Analysis.parse`, `show` turns such a value into what the component holds.
    """

    name: str
    component: Any
    read: Callable[[Any], Any]
    show: Callable[[Any], Any]


@dataclass(frozen=True)
class _Bounds:
    low: float | None = None
    high: float | None = None
    step: float | None = None
    length: int | None = None


def build(
    params: type[BaseModel], choices: Mapping[str, Sequence[tuple[str, str]]] | None = None
) -> list[Field]:
    """Components for all fields, the essential ones first; call it inside the Gradio container
    that holds the form.

    Args:
        choices: for fields that are lists of choices: what a person reads, and the value.
    """
    named, infos = choices or {}, params.model_fields
    first = essential(params)
    rest = [name for name in infos if name not in first]
    fields = [_field(name, infos[name], named.get(name)) for name in first]
    if rest:
        with gr.Accordion(f"More settings ({len(rest)})", open=False, elem_classes="more"):
            fields += [_field(name, infos[name], named.get(name)) for name in rest]
    return fields


def read(fields: Sequence[Field], raw: Sequence[Any]) -> dict[str, Any]:
    """The form's values by name.

    Raises:
        BadInput: a field that must be JSON is not.
    """
    return {field.name: field.read(value) for field, value in zip(fields, raw, strict=True)}


def _field(name: str, info: FieldInfo, choices: Sequence[tuple[str, str]] | None = None) -> Field:
    kind, optional, metadata = _unwrap(info.annotation, list(info.metadata))
    default = None if info.is_required() else info.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        default = None
    more = dict(extra(info))
    if info.examples:
        more["examples"] = info.examples
    if choices:
        more["choices"] = list(choices)
    common = {
        "label": label(name, info),
        "info": info.description,
        "elem_id": f"param-{name}",
        "interactive": True,
    }
    component, reader = _component(kind, default, _bounds(metadata), common, more, optional)
    return Field(name, component, reader, partial(_shown, kind, bool(more.get("multiline"))))


def _component(
    kind: Any,
    default: Any,
    bounds: _Bounds,
    common: dict[str, Any],
    more: Mapping[str, Any],
    optional: bool,
) -> tuple[Any, Callable[[Any], Any]]:
    choices = _choices(kind)
    if choices is not None:
        return _choice(choices, default, common, optional)
    if kind is bool and not optional:
        return gr.Checkbox(value=bool(default), **common), bool
    if kind in (int, float):
        return _number(kind, default, bounds, common, optional)
    if more.get("widget") == "file" or (isinstance(kind, type) and issubclass(kind, Path)):
        return _file(default, common, kind is str and not optional)
    if kind is str:
        return _string(default, bounds, common, more, optional)
    if get_origin(kind) in (list, tuple, set, frozenset, Sequence):
        return _many(kind, default, common, more, optional)
    shown = _shown(kind, False, default)
    common["info"] = _sentences(common["info"], JSON_HINT)
    return gr.Textbox(value=shown, lines=1 + (len(shown) > 80), **common), _json_reader(
        common["label"]
    )


def _choice(
    choices: list[Any], default: Any, common: dict[str, Any], optional: bool
) -> tuple[Any, Callable[[Any], Any]]:
    held = _plain(default)
    if optional:
        offered = [("(none)", ""), *choices]
        return gr.Dropdown(offered, value="" if held is None else held, **common), _empty_is_none
    few = len(choices) <= RADIO_AT_MOST
    return (gr.Radio if few else gr.Dropdown)(choices, value=held, **common), _same


def _file(default: Any, common: dict[str, Any], is_text: bool) -> tuple[Any, Callable[[Any], Any]]:
    """A path that is typed, or that of an upload."""
    with gr.Row(elem_classes="file-field"):
        shown = "" if default is None else str(default)
        where = "A path on the machine where the workbench runs"
        box = gr.Textbox(value=shown, max_lines=1, placeholder=where, scale=5, **common)
        button = gr.UploadButton(
            "Upload …", file_count="multiple", size="sm", scale=1, min_width=100
        )
    button.upload(uploads.as_path, button, box, **QUIET)
    return box, _text if is_text else _empty_is_none


def _string(
    default: Any, bounds: _Bounds, common: dict[str, Any], more: Mapping[str, Any], optional: bool
) -> tuple[Any, Callable[[Any], Any]]:
    text, reader = "" if default is None else str(default), _empty_is_none if optional else _text
    if more.get("examples"):
        # Known values to choose from, while any other text may be typed.
        return (
            gr.Dropdown(
                [str(e) for e in more["examples"]],
                value=text or None,
                allow_custom_value=True,
                **common,
            ),
            reader,
        )
    several = more.get("multiline") or (bounds.length or 0) >= LONG_TEXT
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
    kind: Any, default: Any, common: dict[str, Any], more: Mapping[str, Any], optional: bool
) -> tuple[Any, Callable[[Any], Any]]:
    inner = next((a for a in get_args(kind) if a is not Ellipsis), str)
    inner, _, _ = _unwrap(inner, [])
    held = [] if default is None else _plain(default)
    choices = _choices(inner)
    if choices is not None:
        return gr.CheckboxGroup(more.get("choices", choices), value=held, **common), (
            lambda v: list(v) if v or not optional else None
        )
    if inner is str:
        return _texts(held, common, bool(more.get("multiline")), optional)
    if inner in (int, float):
        common["info"] = _sentences(common["info"], "Separated by commas.")
        shown = _shown(kind, False, held)
        return gr.Textbox(value=shown, lines=1, max_lines=1, **common), partial(_numbers, optional)
    common["info"] = _sentences(common["info"], JSON_HINT)
    return gr.Textbox(value=_shown(kind, False, held), **common), _json_reader(common["label"])


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
        kept = _listed(text or "", breaks)
        return kept if kept or not optional else None

    shown, rows = _shown(list[str], breaks, held), max(2, min(len(held), 6))
    return gr.Textbox(value=shown, lines=rows, max_lines=12, **common), items


def _listed(text: str, breaks: bool) -> list[str]:
    """The texts of a list as they are written in its field."""
    written = _json_texts(text) if breaks else None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines if written is None else written


def _shown(kind: Any, breaks: bool, value: Any) -> Any:
    """What the component of a field of this type holds for a value."""
    held = _plain(value)
    many = get_origin(kind) in (list, tuple, set, frozenset, Sequence)
    inner, _, _ = _unwrap(next(iter(get_args(kind)), str), []) if many else (kind, False, [])
    if _choices(inner) is not None or (inner in (bool, int, float) and not many):
        return held
    if held is None or isinstance(held, str):
        return held or ""
    if many and inner is str:
        lines = "\n".join(map(str, held))
        same = not breaks or _listed(lines, breaks) == held
        return lines if same else json.dumps(held, ensure_ascii=False, indent=1)
    if many and inner in (int, float):
        return ", ".join(map(str, held))
    return json.dumps(held, ensure_ascii=False)


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
    if isinstance(value, enum.Enum):
        return value.value
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
