"""One verdict of a claim from several comparisons, each of which holds, does not, or is not told
by its interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Words(NamedTuple):
    """What the four verdicts are called."""

    yes: str
    part: str
    no: str
    open: str


def judged(verdicts: Sequence[bool | None], words: Words) -> str:
    """True holds, False does not, None cannot be told (and so is no reason to say that it
    holds).
    """
    if not any(v is True for v in verdicts):
        return words.no if any(v is False for v in verdicts) else words.open
    return words.yes if all(v is True for v in verdicts) else words.part
