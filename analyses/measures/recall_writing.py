"""Texts made of pieces, of which each is known by its place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def placed(pieces: Sequence[str]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """(the text of these pieces, where each stands in it without the line break at its end)."""
    items, start = [], 0
    for piece in pieces:
        items.append((start, start + len(piece.rstrip("\n"))))
        start += len(piece)
    return "".join(pieces), tuple(items)


def drawn(rng: np.random.Generator, pool: Sequence[str], count: int) -> list[str]:
    """So many of a pool, none twice."""
    return [str(each) for each in rng.permutation(pool)[:count]]


def spaced(words: Sequence[str]) -> tuple[str, ...]:
    """Words as they stand behind others."""
    return tuple(f" {word}" for word in words)
