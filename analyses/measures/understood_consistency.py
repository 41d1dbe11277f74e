"""Local inconsistency-based memorization (LiMem, Xie et al. 2024), beside what it is by chance.

LiMem is the share of items that are solved although a changed copy is not:
`accuracy × (1 − consistent)`. Who guesses each copy by itself gets `a (1 − a')` of it, where a' is
the accuracy on the changed copies, so LiMem alone says nothing: it has to be higher than that, and
higher on items that were read than on fresh ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from analyses.measures.statistics import mean_interval, share_interval, wilson

DRAWS = 2000


@dataclass(frozen=True)
class LocalConsistency:
    """Of items with one changed copy or more each.

    Attributes:
        n: items.
        accuracy: share of the items that are solved; `changed` of their copies.
        consistent: of the copies of solved items, the share that is solved too (CR); NaN where no
            item is solved.
        limem: accuracy × (1 − consistent), with its 95 % interval over items.
        null: accuracy × (1 − changed): what items and copies that have nothing to do with each
            other give.
        excess: limem − null, with its interval (bootstrap over items): below 0 where who solves an
            item solves its copy more often, above 0 where less often.
    """

    n: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    changed: float
    consistent: float
    limem: float
    limem_interval: tuple[float, float]
    null: float
    excess: float
    excess_interval: tuple[float, float]


def consistency(
    solved: Bool[np.ndarray, " item"], copies: Float[np.ndarray, " item"], seed: int = 0
) -> LocalConsistency:
    """LiMem and what belongs to it.

    Args:
        solved: whether each item is solved.
        copies: of each item the share of its changed copies that are solved.
    """
    n, right = len(solved), np.asarray(solved, float)
    if not n:
        nan, none = math.nan, (math.nan, math.nan)
        return LocalConsistency(0, nan, none, nan, nan, nan, none, nan, nan, none)
    each = right * (1 - copies)
    accuracy, changed, limem = float(right.mean()), float(copies.mean()), float(each.mean())
    drawn = np.random.default_rng(seed).integers(n, size=(DRAWS, n))
    of_null = right[drawn].mean(1) * (1 - copies[drawn].mean(1))
    low, high = np.percentile(each[drawn].mean(1) - of_null, [2.5, 97.5])
    null = accuracy * (1 - changed)
    _, interval = share_interval(each, np.arange(n))
    return LocalConsistency(
        n,
        accuracy,
        wilson(int(right.sum()), n),
        changed,
        float((right * copies).sum() / right.sum()) if right.any() else math.nan,
        limem,
        interval,
        null,
        limem - null,
        (float(low), float(high)),
    )


def paired_drop(
    solved: Bool[np.ndarray, " item"], copies: Float[np.ndarray, " item"]
) -> tuple[float, tuple[float, float]]:
    """Accuracy on the items less that on their copies, and its 95 % interval over items."""
    return mean_interval(np.asarray(solved, float) - copies)
