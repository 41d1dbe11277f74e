"""Numbers in sentences: "1 passage", "1,230 suffixes"."""

from __future__ import annotations

import re


def plural(noun: str) -> str:
    """A regular plural; of several words the last one's."""
    if re.search(r"(s|x|z|ch|sh)$", noun):
        return f"{noun}es"
    return re.sub(r"(?<=[^aeiou])y$", "ie", noun) + "s"


def counted(n: int, noun: str) -> str:
    """So many of a thing, e.g. `counted(5, "context head")`."""
    return f"{n:,} {noun if n == 1 else plural(noun)}"


def percent(rate: float) -> str:
    """A share of one in percent: "39 %"."""
    return f"{100 * rate:.3g} %"
