"""Numbers and tokens in sentences: "1 passage", "1,230 suffixes", "39 %", “ Paris”."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Any

_PERCENT = "\u00a0%"


def plural(noun: str) -> str:
    """A regular plural; of several words the last one's."""
    if re.search(r"(s|x|z|ch|sh)$", noun):
        return f"{noun}es"
    return re.sub(r"(?<=[^aeiou])y$", "ie", noun) + "s"


def counted(n: int, noun: str) -> str:
    """So many of a thing, e.g. `counted(5, "context head")`."""
    return f"{n:,} {noun if n == 1 else plural(noun)}"


def listed(words: Sequence[str]) -> str:
    """ "a, b and c"."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def percent(share: float, *, sign: bool = False) -> str:
    """A share of one, e.g. "39 %": the space does not break, and a small share has more decimals.

    Only nothing is "0 %", and only all is "100 %".

    Args:
        sign: say "+39 %" of a difference.
    """
    if share != share:
        return "–"
    size = abs(100 * share)
    if size == 0 or size >= 100:
        number = f"{size:.0f}"
    elif size >= 99.5:
        number = f"{min(size, 99.94):.1f}"
    elif size >= 9.95:
        number = f"{size:.0f}"
    elif size >= 0.995:
        number = f"{size:.1f}"
    elif size >= 0.001:
        number = f"{size:.2g}"
    else:
        number = f"{size:.0e}".replace("e-0", "e-")
    before = "−" if share < 0 else "+" if sign else ""
    return f"{before}{number}{_PERCENT}"


def percent_span(low: float, high: float) -> str:
    """An interval of shares, e.g. "73–100 %"."""
    return f"{percent(low).removesuffix(_PERCENT)}–{percent(high)}"


def quoted(token: str) -> str:
    """A token in a sentence, with its spaces; a line break is its mark: “ Paris”."""
    return "“" + token.replace("\n", "↵") + "”"


def formatted(template: str, *values: object, **named: object) -> str:
    """`str.format`, in which `:%` writes a share as `percent` does."""
    return _Formatter().vformat(template, values, named)


class _Formatter(string.Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "%":
            return percent(value)
        return str(super().format_field(value, format_spec))
