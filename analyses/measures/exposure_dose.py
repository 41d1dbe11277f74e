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
            if before is None:
                return 2**at
            share = (level - before[1]) / (rate - before[1])
            return 2 ** (before[0] + share * (at - before[0]))
        before = at, rate
    return math.inf


def logistic(
    design: Float[np.ndarray, "cell term"],
    hits: Float[np.ndarray, " cell"],
    weights: Float[np.ndarray, " cell"] | None = None,
    ridge: float = 1e-2,
) -> Float[np.ndarray, " term"]:
    """Coefficients of a logistic regression. The first term is the constant; `ridge` shrinks the
    others, in standard deviations, and keeps those finite that separate hits from misses.
    """
    from scipy.optimize import minimize

    weights = np.ones(len(hits)) if weights is None else weights
    middle, spread = design[:, 1:].mean(0), np.maximum(design[:, 1:].std(0), 1e-12)
    terms = np.column_stack([np.ones(len(hits)), (design[:, 1:] - middle) / spread])
    sign = 1 - 2 * hits

    def misfit(beta: np.ndarray) -> tuple[float, np.ndarray]:
        away = sign * (terms @ beta)
        loss = weights @ np.logaddexp(0, away) + ridge / 2 * (beta[1:] ** 2).sum()
        slope = terms.T @ (weights * sign / (1 + np.exp(-np.clip(away, -500, 500))))
        slope[1:] += ridge * beta[1:]
        return float(loss), slope

    found = minimize(misfit, np.zeros(terms.shape[1]), jac=True, method="L-BFGS-B").x
    slopes = found[1:] / spread
    return np.array([found[0] - slopes @ middle, *slopes])


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
