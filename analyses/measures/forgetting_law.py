"""The law of forgetting (Kalajdzievski 2024, 2401.05605): forgetting rises linearly as the loss on
the new task falls, on one line whatever the rank, L_f = s - c L_ft, and is a shifted power law in
trained parameters P and steps N: L_f = s - c [(a/P)^α + (b/N)^β]^ρ.

Each form is judged by a rank that it was not fitted on. Two plain rivals stand beside: linear in
steps, and k |ΔW|² (Frobenius).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

LINE, POWER, STEPS, SIZE = FORMS = (
    "line in the new task's loss",
    "power law in parameters and steps",
    "linear in steps",
    "size of the change squared",
)
RESTARTS = 20
"""Of the power law's least squares: from fewer it ends in worse places now and then."""


@dataclass(frozen=True)
class LawPoints:
    """Measured points of all runs, one array entry each, (point,).

    Attributes:
        rank: which run; trained: parameters that it trains; steps: updates so far.
        task: loss on the new task; size: |ΔW| squared; kl: forgetting. All in nats but size.
    """

    rank: Float[np.ndarray, " point"]
    trained: Float[np.ndarray, " point"]
    steps: Float[np.ndarray, " point"]
    task: Float[np.ndarray, " point"]
    size: Float[np.ndarray, " point"]
    kl: Float[np.ndarray, " point"]

    def some(self, chosen: np.ndarray) -> LawPoints:
        """The points where `chosen` is true."""
        parts = (self.rank, self.trained, self.steps, self.task, self.size, self.kl)
        return LawPoints(*(each[chosen] for each in parts))


@dataclass(frozen=True)
class LawFit:
    """One form.

    Attributes:
        r2: of all points, fitted on all; held_out: of each rank, fitted on the others, pooled; NaN
            with one rank, or too few points.
        slope, intercept: of the line and the two linear rivals; NaN for the power law.
    """

    form: str
    r2: float
    held_out: float
    slope: float
    intercept: float


Fitted = Callable[[LawPoints], Float[np.ndarray, " point"]]


def fits(points: LawPoints, seed: int = 0) -> list[LawFit]:
    """Every form on all points, and on each rank left out."""
    return [judged(form, points, seed) for form in FORMS]


def judged(form: str, points: LawPoints, seed: int) -> LawFit:
    """One form on all points, and on each rank left out."""
    ranks = np.unique(points.rank)
    whole = _fitted(form, points, seed)
    predicted = np.full(len(points.kl), np.nan)
    for rank in ranks if len(ranks) > 1 else ():
        out = points.rank == rank
        predicted[out] = _fitted(form, points.some(~out), seed)(points.some(out))
    slope, intercept = _line(form, points) if form != POWER else (np.nan, np.nan)
    return LawFit(
        form, r_squared(whole(points), points.kl), r_squared(predicted, points.kl), slope, intercept
    )


def r_squared(predicted: np.ndarray, measured: np.ndarray) -> float:
    """1 less the share of the variance that is left; NaN without variance, or where nothing was
    predicted; below 0 where the mean would do better.
    """
    spread = float(((measured - measured.mean()) ** 2).sum())
    if spread == 0 or not np.isfinite(predicted).all():
        return float("nan")
    return 1 - float(((measured - predicted) ** 2).sum()) / spread


def _x(form: str, points: LawPoints) -> np.ndarray:
    return {LINE: points.task, STEPS: points.steps, SIZE: points.size}[form]


def _line(form: str, points: LawPoints) -> tuple[float, float]:
    """(slope, intercept); through the origin where no change must mean no forgetting."""
    x = _x(form, points)
    if form == SIZE:
        return float((x * points.kl).sum() / max(float((x * x).sum()), 1e-30)), 0.0
    if np.ptp(x) == 0:
        return 0.0, float(points.kl.mean())
    slope, intercept = np.polyfit(x, points.kl, 1)
    return float(slope), float(intercept)


def _fitted(form: str, points: LawPoints, seed: int) -> Fitted:
    if form == POWER:
        return _power_law(points, seed)
    slope, intercept = _line(form, points)
    return lambda some: slope * _x(form, some) + intercept


def _power_law(points: LawPoints, seed: int) -> Fitted:
    """Least squares with bounds, from many random starts. Points of step 0 say nothing: N is 0."""
    from scipy.optimize import least_squares

    inside = points.some(points.steps > 0)
    if len(inside.kl) < 7:
        return lambda some: np.full(len(some.kl), np.nan)
    # In units of the middle of what was measured, so that all starts are of one size.
    middle = (np.median(inside.trained), np.median(inside.steps))
    top = max(float(inside.kl.max()), 1e-6)

    def curve(given: np.ndarray, some: LawPoints) -> np.ndarray:
        a, b, alpha, beta, rho, c, s = given
        steps = np.maximum(some.steps, 1e-9)
        inner = (a * middle[0] / some.trained) ** alpha + (b * middle[1] / steps) ** beta
        found: np.ndarray = top * (s - c * inner**rho)
        return np.where(some.steps > 0, found, 0.0)

    low = np.array([1e-3, 1e-3, 0.01, 0.01, 0.05, 0.0, 0.0])
    high = np.array([1e3, 1e3, 3.0, 3.0, 3.0, 20.0, 20.0])
    rng, best, least = np.random.default_rng(seed), None, np.inf
    for _ in range(RESTARTS):
        start = np.exp(rng.uniform(np.log(np.maximum(low, 1e-2)), np.log(np.minimum(high, 5.0))))
        got = least_squares(
            lambda given: curve(given, inside) - inside.kl, start, bounds=(low, high), max_nfev=100
        )
        if got.cost < least:
            least, best = got.cost, got.x
    assert best is not None
    chosen = best
    return lambda some: curve(chosen, some)


def below_line(points: LawPoints, task: float, kl: float) -> float:
    """How far a point of another method lies below the line of these points, in nats of
    forgetting; negative above it.
    """
    slope, intercept = _line(LINE, points)
    return slope * task + intercept - kl
