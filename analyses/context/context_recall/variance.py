"""How much of what varies is due to what: variance components of a crossed design."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

REST = "all else"
"""What main effects leave: interactions, and whatever is not in the design."""
_DRAWS = 500


def components(values: np.ndarray, factors: Sequence[str]) -> dict[str, float]:
    """Share of the variance that each factor alone makes, from a fully crossed table.

    The expected mean square of a factor is the variance of all else plus n times its own, n being
    the cells of each of its levels; what comes out below 0 is 0.

    Args:
        values: one number per cell, a dim per factor, in their order.

    Returns:
        Shares by factor, and of `REST`; they add up to 1. Factors of one level are left out. All
        NaN where nothing varies.
    """
    n, mean = values.size, values.mean()
    total = float(((values - mean) ** 2).sum())
    squares, free = {}, {}
    for axis, name in enumerate(factors):
        levels = values.shape[axis]
        if levels > 1:
            others = tuple(a for a in range(values.ndim) if a != axis)
            apart = values.mean(axis=others) - mean
            squares[name] = float((apart**2).sum()) * n / levels
            free[name] = levels - 1
    left = n - 1 - sum(free.values())
    rest = (total - sum(squares.values())) / left if left > 0 else 0.0
    found = {
        name: max(0.0, (squares[name] / free[name] - rest) / (n / (free[name] + 1)))
        for name in squares
    }
    found[REST] = max(0.0, rest)
    whole = sum(found.values())
    return {name: value / whole if whole > 0 else np.nan for name, value in found.items()}


def crossed(frame: pd.DataFrame, value: str, factors: Sequence[str]) -> np.ndarray:
    """A table of a fully crossed design, a dim per factor; means where a cell has several rows."""
    levels = [list(dict.fromkeys(frame[name])) for name in factors]
    cells = frame.groupby(list(factors), sort=False)[value].mean()
    shape = [len(each) for each in levels]
    places = np.indices(shape).reshape(len(shape), -1).T
    keys = [tuple(levels[a][i] for a, i in enumerate(place)) for place in places]
    return np.array([cells[key if len(key) > 1 else key[0]] for key in keys]).reshape(shape)


def table(
    frame: pd.DataFrame, value: str, factors: Sequence[str], drawn: str, seed: int
) -> pd.DataFrame:
    """Components with 95 % intervals from drawing the levels of one factor again.

    Args:
        drawn: the factor whose levels are a sample, such as the needles.
    """
    import pandas as pd

    values = crossed(frame, value, factors)
    axis, rng = list(factors).index(drawn), np.random.default_rng([seed, 11])
    found = components(values, factors)
    levels = int(values.shape[axis])
    again: list[dict[str, float]] = []
    while len(again) < _DRAWS and levels > 2:
        chosen = rng.integers(levels, size=levels)
        if len(np.unique(chosen)) > 1:
            again.append(components(values.take(chosen, axis), factors))
    rows = []
    for name, share in found.items():
        spread = [draw.get(name, np.nan) for draw in again]
        low, high = np.nanpercentile(spread, [2.5, 97.5]) if spread else (np.nan, np.nan)
        rows.append((name, share, float(low), float(high), _levels(values, factors, name)))
    return pd.DataFrame(rows, columns=["factor", "share", "low", "high", "levels"])


def _levels(values: np.ndarray, factors: Sequence[str], name: str) -> int:
    return values.shape[list(factors).index(name)] if name in factors else 0
