"""How long a memory lasts: what is left of a gain, after how many updates half of it is gone, and
which texts are still recited.

Retainability (Chang et al. 2024, 2406.11813) is the gain at a lag as a share of the gain right
behind the last reading. Over texts it is a ratio of means, so a text that gained nothing is not
dropped (dropping those biases it upwards) and weighs nothing. Gains are taken against texts of the
kind that were never read, so what all texts gain or lose in the meantime is no forgetting.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int

_Times = np.ndarray


def linear_in_log(t: _Times, a: float, b: float) -> _Times:
    """What is left falls by a with every e-fold of the updates t (Chang et al. 2024)."""
    left: _Times = b - a * np.log(np.maximum(t, 1.0))
    return left


def power(t: _Times, a: float, b: float) -> _Times:
    """A power law that begins at 1."""
    left: _Times = np.power(1.0 + t, -abs(a))
    return left


def exponential(t: _Times, a: float, b: float) -> _Times:
    left: _Times = np.exp(-abs(a) * t)
    return left


LAWS: dict[str, Callable[[_Times, float, float], _Times]] = {
    "b − a ln t": linear_in_log,
    "(1 + t)^−a": power,
    "exponential": exponential,
}
"""What is left after so many updates."""
_BEGINNINGS = {"(1 + t)^−a": (0.2,), "exponential": (0.005,)}
_EDGES = (1, 10, 25, 50, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 10**9)


def lag_bins(lags: Float[np.ndarray, " ..."]) -> Int[np.ndarray, " ..."]:
    """Number of the bin in which a lag lies; bins are about even on a logarithmic scale."""
    number: np.ndarray = np.digitize(lags, _EDGES)
    return number


def retained(
    gains: Float[np.ndarray, " cell"],
    peaks: Float[np.ndarray, " cell"],
    items: Int[np.ndarray, " cell"],
    *,
    seed: int = 0,
    draws: int = 500,
) -> tuple[float, tuple[float, float]]:
    """Mean gain over mean peak, and its 95 % interval over items; NaN where there was no gain."""
    unique, at = np.unique(items, return_inverse=True)
    if not len(unique) or peaks.mean() <= 0:
        return math.nan, (math.nan, math.nan)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(unique), np.full(len(unique), 1 / len(unique)), size=draws)
    above, below = (
        weights @ np.bincount(at, each, minlength=len(unique)) for each in (gains, peaks)
    )
    drawn = above[below > 0] / below[below > 0]
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (math.nan, math.nan)
    return float(gains.mean() / peaks.mean()), (float(low), float(high))


def fit_laws(
    lags: Float[np.ndarray, " point"], left: Float[np.ndarray, " point"]
) -> dict[str, tuple[float, float, float]]:
    """(a, b, error on lags left out) of every law; b is of the first alone.

    The error is the root mean square on each lag when all others are fitted, so a law with one
    number more gains nothing by it.
    """
    found = {}
    for name, law in LAWS.items():
        misses = []
        for out in range(len(lags)):
            rest = np.arange(len(lags)) != out
            a, b = _fitted(name, lags[rest], left[rest])
            misses.append(float(law(lags[out : out + 1], a, b)[0] - left[out]))
        a, b = _fitted(name, lags, left)
        found[name] = a, b, float(np.sqrt(np.mean(np.square(misses))))
    return found


def _fitted(
    name: str, t: Float[np.ndarray, " point"], y: Float[np.ndarray, " point"]
) -> tuple[float, float]:
    """(a, b) of a law by least squares."""
    from scipy.optimize import curve_fit

    law = LAWS[name]
    if law is linear_in_log:
        slope, constant = np.polyfit(np.log(np.maximum(t, 1.0)), y, 1)
        return -float(slope), float(constant)
    (a,), _ = curve_fit(lambda t, a: law(t, a, 0.0), t, y, p0=_BEGINNINGS[name], maxfev=5000)
    return abs(float(a)), 0.0


def half_life(lags: Float[np.ndarray, " point"], left: Float[np.ndarray, " point"]) -> float:
    """Updates after which half is gone, read off straight lines over ln t; infinite where it never
    is.
    """
    order = np.argsort(lags)
    t, y = lags[order], left[order]
    before = (0.0, 1.0)
    for lag, share in zip(t, y, strict=True):
        at = math.log1p(lag)
        if share <= 0.5:
            way = (before[1] - 0.5) / (before[1] - share)
            return math.expm1(before[0] + way * (at - before[0]))
        before = (at, float(share))
    return math.inf


def survival(
    lasted: Float[np.ndarray, " item"], lost: Bool[np.ndarray, " item"]
) -> tuple[Float[np.ndarray, " time"], Float[np.ndarray, " time"]]:
    """(times, share still there from each on) by Kaplan and Meier 1958.

    Args:
        lasted: updates from the peak to the loss, or to the end.
        lost: whether it was lost; otherwise it outlasted what was seen.
    """
    times = np.unique(lasted[lost])
    at_risk = np.array([(lasted >= time).sum() for time in times])
    gone = np.array([((lasted == time) & lost).sum() for time in times])
    return times, np.cumprod(1 - gone / at_risk) if len(times) else np.zeros(0)


def log_rank(
    lasted: Float[np.ndarray, " item"],
    lost: Bool[np.ndarray, " item"],
    groups: Int[np.ndarray, " item"],
    *,
    seed: int = 0,
    draws: int = 2000,
) -> float:
    """p of a difference in survival between groups, by dealing the groups again (log-rank)."""
    rng = np.random.default_rng(seed)
    times = np.unique(lasted[lost])
    at_risk = lasted[None] >= times[:, None]
    gone = (lasted[None] == times[:, None]) & lost[None]
    share = gone.sum(-1) / np.maximum(1, at_risk.sum(-1))
    # Each item's deaths less those expected of it: a statistic that is a sum over the group.
    excess = gone.sum(0) - (at_risk * share[:, None]).sum(0)

    def statistic(dealt: np.ndarray) -> float:
        return float(sum(excess[dealt == g].sum() ** 2 / (dealt == g).sum() for g in names))

    names = np.unique(groups)
    own = statistic(groups)
    more = sum(statistic(rng.permutation(groups)) >= own - 1e-12 for _ in range(draws))
    return (1 + more) / (1 + draws)
