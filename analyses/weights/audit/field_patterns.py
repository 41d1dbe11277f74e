"""Fields of personal data: their names, and the patterns that find their values in a text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from re import _parser  # type: ignore[attr-defined]
from typing import Any

LONGEST = 300
"""Characters of a value: what is longer is no field."""
_LINE = 2000  # characters of a line that a pattern sees at once: what bounds the time it takes
_MANY = 10  # repetitions from which on the ways to part a text among them are too many
_REPEATS = (_parser.MAX_REPEAT, _parser.MIN_REPEAT)


@dataclass(frozen=True)
class FieldPattern:
    """A field, and what its values look like."""

    name: str
    pattern: re.Pattern[str]

    def values_in(self, text: str) -> Iterator[tuple[int, int]]:
        """(start, end) of each value, in characters; none goes over the end of a line."""
        at = 0
        for line in text.splitlines(keepends=True):
            past = 0  # where the last match ends
            for start in range(0, len(line), _LINE):
                end = start + _LINE
                # A value that begins before the end of a stretch is seen whole.
                for match in self.pattern.finditer(line, max(start, past), end + LONGEST):
                    if match.start() >= end:
                        break
                    past = match.end()
                    if 0 < match.end() - match.start() <= LONGEST:
                        yield at + match.start(), at + match.end()
            at += len(line)


def read_fields(lines: Sequence[str]) -> list[FieldPattern]:
    """The fields of a form, one a line.

    Raises:
        ValueError: a line is no name, colon and regular expression; says which and what to do.
    """
    fields: list[FieldPattern] = []
    for line in filter(str.strip, lines):
        name, colon, pattern = (part.strip() for part in line.partition(":"))
        if not colon or not name or not pattern:
            raise ValueError(f"{line!r} is no field: give a name, a colon and a pattern")
        if any(field.name == name for field in fields):
            raise ValueError(f"the field {name!r} stands there twice: give each one line")
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise ValueError(
                f"the pattern of {name!r} is no regular expression: {error}; an example is"
                r" 'year: \d{4}'"
            ) from error
        if _runs_away(_parser.parse(pattern)):
            raise ValueError(
                f"the pattern of {name!r} repeats a group in which something is repeated, which may"
                " take forever: repeat only one of the two"
            )
        if compiled.match(""):
            raise ValueError(f"the pattern of {name!r} also fits no text at all: let it need some")
        fields.append(FieldPattern(name, compiled))
    return fields


def _runs_away(parsed: Iterable[tuple[Any, Any]], *, repeated: bool = False) -> bool:
    """Whether something that is repeated as often as it fits stands in what is repeated itself, as
    in (a+)+ or (a+|b)+: the ways to try may double with each further character.

    Args:
        parsed: what Python's own parser makes of a pattern.
        repeated: whether it stands in a repetition.
    """
    for kind, argument in parsed:
        many = repeated
        if kind in _REPEATS:
            fewest, most, _ = argument
            if repeated and 1 < most != fewest:
                return True
            many = repeated or most > _MANY
        if any(_runs_away(part, repeated=many) for part in _parts_of(argument)):
            return True
    return False


def _parts_of(argument: Any) -> Iterator[Any]:
    """The parsed patterns inside what stands in one."""
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, list | tuple):
        for each in argument:
            yield from _parts_of(each)
