"""Attention heads by name."""

from __future__ import annotations


def head_name(layer: int, head: int) -> str:
    """(23, 4) -> "L23H4"."""
    return f"L{int(layer)}H{int(head)}"


def parse_head(text: str) -> tuple[int, int] | None:
    """ "L23H4" -> (23, 4); None if it is no head's name."""
    layer, _, head = text.strip().upper().removeprefix("L").partition("H")
    one = number(layer), number(head)
    return (one[0], one[1]) if one[0] is not None and one[1] is not None else None


def number(text: str) -> int | None:
    """A whole number from 0 in plain digits; None if the text is something else."""
    # Plain digits and few of them: int() refuses a "²" that isdigit() accepts, and thousands of
    # digits.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
