"""How well changes are predicted that other orders of training brought: rank correlations whose
intervals know that what one order changed goes together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from analyses.measures.statistics import spearman

if TYPE_CHECKING:
    from jaxtyping import Float

_DRAWS = 1000


class Agreement(NamedTuple):
    """Spearman's correlation, with its 95 % interval over orders, which is NaN for one order."""

    r: float
    low: float
    high: float


def agreement(
    predicted: Float[np.ndarray, "order text"],
    real: Float[np.ndarray, "order text"],
    seed: int = 0,
) -> Agreement:
    """Rank correlation over all texts of all orders; orders are drawn again (bootstrap, 1,000
    draws), so the interval is for other orders of the same texts. NaN where one side does not vary.
    """
    drawn = _draws(predicted, real, seed)
    return Agreement(spearman(predicted.ravel(), real.ravel()), *_interval(drawn))


def gained(
    predicted: Float[np.ndarray, "order text"],
    rival: Float[np.ndarray, "order text"],
    real: Float[np.ndarray, "order text"],
    seed: int = 0,
) -> Agreement:
    """The correlation of one predictor less a rival's, both over the same drawn orders."""
    both = _draws(predicted, real, seed) - _draws(rival, real, seed)
    value = spearman(predicted.ravel(), real.ravel()) - spearman(rival.ravel(), real.ravel())
    return Agreement(value, *_interval(both))


def explained(
    predicted: Float[np.ndarray, "order text"], real: Float[np.ndarray, "order text"]
) -> float:
    """1 - squared error / squared change: 1 is exact, 0 is as good as predicting that nothing
    changes, below 0 worse.
    """
    total = float((real**2).sum())
    return 1 - float(((predicted - real) ** 2).sum()) / total if total else float("nan")


def _draws(predicted: np.ndarray, real: np.ndarray, seed: int) -> np.ndarray:
    from scipy.stats import rankdata

    draw = np.random.default_rng(seed)
    if len(real) < 2:  # drawn again it is always the same: that would look certain
        return np.full(_DRAWS, np.nan)
    orders = draw.integers(len(real), size=(_DRAWS, len(real)))
    one, other = (
        rankdata(values[orders].reshape(_DRAWS, -1), axis=-1) for values in (predicted, real)
    )
    one -= one.mean(-1, keepdims=True)
    other -= other.mean(-1, keepdims=True)
    spread = np.sqrt((one**2).sum(-1) * (other**2).sum(-1))
    products = (one * other).sum(-1)
    found = np.full(_DRAWS, np.nan)
    np.divide(products, spread, out=found, where=spread > 0)
    return found


def _interval(values: np.ndarray) -> tuple[float, float]:
    if len(values) == 0 or np.isnan(values).all():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
