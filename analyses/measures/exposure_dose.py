"""How many readings it takes: rates by dose, where they pass halfway, and what dose and time add.

Recognition is the two-alternative test (Orhan 2023, 2303.17557): which of two texts has the lower
loss, the one that was read or one of its kind that never was. Chance is one half. Recall is what
greedy decoding says after the first half of the text.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int


def recognition(
    own: Float[np.ndarray, "item step"],
    foils: Float[np.ndarray, "foil step"],
    kinds: Int[np.ndarray, " item"],
    of_foils: Int[np.ndarray, " foil"],
) -> Float[np.ndarray, "item step"]:
    """Share of the foils of its kind with a higher loss than a text's own; ties count half. NaN
    where a kind has no foil.
    """
    shares = np.full(own.shape, np.nan)
    for kind in np.unique(kinds):
        mine, others = own[kinds == kind], foils[of_foils == kind]
        if len(others):
            lower = (mine[:, None] < others[None]).mean(1)
            ties = (mine[:, None] == others[None]).mean(1)
            shares[kinds == kind] = lower + ties / 2
    return shares


def doublings(readings: Int[np.ndarray, " ..."]) -> Int[np.ndarray, " ..."]:
    """The power of two at or below each number of readings; 0 for none."""
    return np.where(readings > 0, 2 ** np.floor(np.log2(np.maximum(readings, 1))).astype(int), 0)


def halfway(
    readings: Float[np.ndarray, " cell"],
    hits: Float[np.ndarray, " cell"],
    level: float,
    items: Int[np.ndarray, " cell"],
    *,
    seed: int = 0,
    draws: int = 500,
) -> tuple[float, tuple[float, float]]:
    """Readings after which the rate passes a level, and its 95 % interval over items; infinite
    where it never does.

    Between two powers of two it is read off a line over log2 of the readings, through the mean
    readings and rate of each.
    """
    rng = np.random.default_rng(seed)
    unique, at = np.unique(items, return_inverse=True)
    value = _passes(readings, hits, np.ones(len(hits)), level)
    drawn = [
        _passes(
            readings,
            hits,
            rng.multinomial(len(unique), np.full(len(unique), 1 / len(unique)))[at],
            level,
        )
        for _ in range(draws)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975], method="nearest")
    return value, (float(low), float(high))


def _passes(
    readings: Float[np.ndarray, " cell"],
    hits: Float[np.ndarray, " cell"],
    weights: Float[np.ndarray, " cell"],
    level: float,
) -> float:
    before = None
    bins = doublings(readings.astype(int))
    for dose in np.unique(bins[bins > 0]):
        chosen = (bins == dose) & (weights > 0)
        if not chosen.any():
            continue
        rate = float(np.average(hits[chosen], weights=weights[chosen]))
        at = float(np.average(np.log2(readings[chosen]), weights=weights[chosen]))
        if rate >= level:
            if before is None or before[1] >= rate:
                return 2**at
            share = (level - before[1]) / (rate - before[1])
            return 2 ** (before[0] + max(0.0, share) * (at - before[0]))
        before = at, rate
    return math.inf


def logistic(
    design: Float[np.ndarray, "cell term"],
    hits: Float[np.ndarray, " cell"],
    weights: Float[np.ndarray, " cell"] | None = None,
    ridge: float = 1e-2,
) -> Float[np.ndarray, " term"]:
    """Coefficients of a logistic regression (Newton's steps); `ridge` keeps those finite that
    separate hits from misses. The first term is the constant and is not shrunk.
    """
    weights = np.ones(len(hits)) if weights is None else weights
    shrink = np.full(design.shape[1], ridge)
    shrink[0] = 1e-6
    beta = np.zeros(design.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        slope = design.T @ (weights * (hits - p)) - shrink * beta
        curve = (design * (weights * p * (1 - p))[:, None]).T @ design + np.diag(shrink)
        move = np.linalg.solve(curve, slope)
        beta = beta + np.clip(move, -2, 2)
        if np.abs(move).max() < 1e-8:
            break
    return beta


def logistic_intervals(
    design: Float[np.ndarray, "cell term"],
    hits: Float[np.ndarray, " cell"],
    items: Int[np.ndarray, " cell"],
    *,
    seed: int = 0,
    draws: int = 200,
) -> tuple[Float[np.ndarray, " term"], Float[np.ndarray, "2 term"]]:
    """Coefficients, and their 95 % intervals if the items were drawn again."""
    rng = np.random.default_rng(seed)
    unique, at = np.unique(items, return_inverse=True)
    share = np.full(len(unique), 1 / len(unique))
    drawn = [
        logistic(design, hits, rng.multinomial(len(unique), share)[at].astype(float))
        for _ in range(draws)
    ]
    return logistic(design, hits), np.quantile(drawn, [0.025, 0.975], axis=0)
