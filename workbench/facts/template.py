"""Templates with named fields, filled in a way that keeps track of where everything went.

`{subject}` is a field, `{{` and `}}` are plain braces. What is put in is never read as a template
again, so a subject such as "{answer}" stays those eight characters, and every mention's place is
known without searching for it.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workbench.errors import BadInput

MAX_TEMPLATE = 20_000


@dataclass(frozen=True)
class FieldSpan:
    """One field's place in a filled text: characters `start` up to, not including, `end`."""

    field: str
    start: int
    end: int


@dataclass(frozen=True)
class Filled:
    """A filled template: its text, and a span for each field in it, in reading order of their
    starts.
    """

    text: str
    spans: tuple[FieldSpan, ...] = ()

    def of(self, *fields: str) -> list[FieldSpan]:
        return [span for span in self.spans if span.field in fields]


def fields(template: str, allowed: Iterable[str], called: str) -> list[str]:
    """The fields of a template, in order.

    Args:
        template: the text with fields.
        allowed: the names a field may have.
        called: what the template is, for the message ("the format 'mine'").

    Raises:
        BadInput: not a text, too long, unbalanced braces, or a field that does not exist.
    """
    return [field for _, field in _pieces(template, tuple(allowed), called) if field is not None]


def fill(template: str, values: Mapping[str, str | Filled], called: str = "the template") -> Filled:
    """Put `values` into the template's fields; spans inside a `Filled` value move along with it.

    Raises:
        BadInput: as `fields`.
    """
    text, spans = "", []
    for literal, field in _pieces(template, tuple(values), called):
        text += literal
        if field is None:
            continue
        value = values[field]
        inner = value if isinstance(value, Filled) else Filled(value)
        spans.append(FieldSpan(field, len(text), len(text) + len(inner.text)))
        spans += [FieldSpan(m.field, m.start + len(text), m.end + len(text)) for m in inner.spans]
        text += inner.text
    return Filled(text, tuple(spans))


def _pieces(template: str, allowed: tuple[str, ...], called: str) -> list[tuple[str, str | None]]:
    offered = ", ".join("{" + name + "}" for name in allowed)
    if not isinstance(template, str) or len(template) > MAX_TEMPLATE:
        came = (
            f"{len(template):,} characters"
            if isinstance(template, str)
            else type(template).__name__
        )
        raise BadInput(
            f"{_upper(called)} cannot be used: {came}.",
            f"a text of at most {MAX_TEMPLATE:,} characters",
            "Shorten it.",
        )
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise BadInput(
            f"{_upper(called)} has braces that do not pair up ({error}): {_short(template)!r}.",
            f"the fields {offered}",
            "Write {{ and }} where you mean plain braces.",
        ) from error
    pieces: list[tuple[str, str | None]] = []
    for plain, field, spec, conversion in parsed:
        if field is not None and (field not in allowed or spec or conversion):
            asked = field + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            raise BadInput(
                f"{_upper(called)} has no field {{{_short(asked)}}}.",
                f"the fields {offered}",
                "Write {{ and }} where you mean plain braces.",
            )
        pieces.append((plain, field))
    return pieces


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _short(text: str, most: int = 80) -> str:
    return text if len(text) <= most else text[:most] + "…"
