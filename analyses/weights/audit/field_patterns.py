"""Fields of personal data: their names, and the patterns that find their values in a text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LONGEST = 300
"""Characters of a value: what is longer is no field."""
_LINE = 2000  # characters of a line that a pattern sees at once: what bounds the time it takes
# A repeated group that ends in a repetition itself, as in (a+)+: the time may double with each
# further character.
_RUNAWAY = re.compile(r"[+*}]\)(?:[+*]|\{\d*,)")


@dataclass(frozen=True)
class FieldPattern:
    """A field, and what its values look like."""

    name: str
    pattern: re.Pattern[str]

    def values_in(self, text: str) -> Iterator[tuple[int, int]]:
        """(start, end) of each value, in characters; none goes over the end of a line."""
        at = 0
        for line in text.splitlines(keepends=True):
            for start in range(0, len(line), _LINE):
                for match in self.pattern.finditer(line, start, start + _LINE):
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
        if _RUNAWAY.search(pattern):
            raise ValueError(
                f"the pattern of {name!r} repeats a group that repeats itself, which may take"
                " forever: repeat only one of the two"
            )
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise ValueError(
                f"the pattern of {name!r} is no regular expression: {error}; an example is"
                r" 'year: \d{4}'"
            ) from error
        if compiled.match(""):
            raise ValueError(f"the pattern of {name!r} also fits no text at all: let it need some")
        fields.append(FieldPattern(name, compiled))
    return fields
