"""Intervals and rank statistics that more than one analysis needs."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

_Z = NormalDist().inv_cdf(0.975)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a rate (Wilson 1927): honest at 0 and 1, where the usual one has no
    width.
    """
    return wilson_of(hits / n, n) if n else (0.0, 1.0)


def sign(low: float, high: float, at: float = 0.0) -> bool | None:
    """Is what an interval bounds above `at` (True), below it (False), or not told apart from it
    (None)?
    """
    return True if low > at else False if high < at else None


def rates_apart(one: float, n: float, other: float, of_other: float) -> tuple[float, float]:
    """95 % interval of one rate less another, each of so many units of its own (Newcombe 1998,
    from Wilson's of both).
    """
    (low, high), (other_low, other_high) = wilson_of(one, n), wilson_of(other, of_other)
    apart = one - other
    return apart - math.hypot(one - low, other_high - other), apart + math.hypot(
        high - one, other - other_low
    )


def rate_interval(hits: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """95 % interval of the share of `hits` where what lies in one group goes together, e.g. windows
    of one document.

    Wilson's, for as many independent ones as vary so much (the effective sample size), never more
    than there are. Where all are hits or none is, nothing says how far they go together, and each
    counts.

    Args:
        hits: (unit,) bool; groups: which group each is in, (unit,) of anything that can be
            compared.
    """
    n = len(hits)
    if not n:
        return (0.0, 1.0)
    rate, error, _ = _clustered(np.asarray(hits, float), groups)
    if rate in (0.0, 1.0) or math.isnan(error):
        return wilson(int(np.sum(hits)), n)
    return wilson_of(rate, min(float(n), rate * (1 - rate) / error**2) if error else float(n))


def wilson_of(rate: float, n: float) -> tuple[float, float]:
    """Wilson's interval for a number of units that need not be whole."""
    wide = _Z * _Z / n
    middle, half = rate + wide / 2, math.sqrt(wide * (rate * (1 - rate) + wide / 4))
    low, high = (middle - half) / (1 + wide), (middle + half) / (1 + wide)
    return (0.0 if rate == 0 else low), (1.0 if rate == 1 else high)


def share_interval(values: np.ndarray, groups: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Mean of shares between 0 and 1, and its 95 % interval.

    Student's, kept between 0 and 1. Where the values do not vary, or are of one group, it is
    Wilson's for as many as there are groups: four times 0 does not say that the fifth is 0. NaN
    without values.

    Args:
        groups: which values go together, e.g. those of one document.
    """
    mean, error, _ = _clustered(values, groups)
    if math.isnan(mean):
        return mean, (math.nan, math.nan)
    if math.isnan(error) or error < 1e-12:
        return mean, wilson_of(mean, float(len(np.unique(groups))))
    _, (low, high) = mean_interval(values, groups)
    return mean, (max(0.0, low), min(1.0, high))


def paired_gain(gains: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Mean of changes of -1, 0 or 1, one for each unit, and its 95 % interval if the units were
    drawn again.

    The percentile interval of the bootstrap, from its exact distribution, so it needs no random
    numbers; NaN without units. Where all units change alike, drawing them again says nothing: then
    it is Wilson's interval of that change's rate.
    """
    n = len(gains)
    if not n:
        return math.nan, (math.nan, math.nan)
    if (gains == gains[0]).all():
        change, (surely, _) = float(gains[0]), wilson(n, n)
        if change:
            low, high = sorted((change * surely, change))
        else:
            low, high = surely - 1, 1 - surely  # of either change, what none in n leaves
        return change, (low, high)
    one = np.array([np.mean(gains == value) for value in (-1, 0, 1)])
    total = np.ones(1)
    for _ in range(n):
        total = np.convolve(total, one)  # the sum of so many draws, from -n to n
    below = np.cumsum(total)
    low, high = (int(np.searchsorted(below, q)) - n for q in (0.025, 0.975))
    return float(np.mean(gains)), (low / n, high / n)


def two_way(
    values: np.ndarray, seed: int = 0, draws: int = 2000
) -> tuple[float, tuple[float, float]]:
    """Mean of a table whose rows and columns were both drawn, e.g. hits of random sets of heads
    (rows) on facts (columns).

    What is in one row goes together, and so does what is in one column, so the cells are not
    independent. Rows and columns are both drawn again (Owen 2007, the pigeonhole bootstrap): 95 %
    percentile interval. Where all cells are alike there is nothing to draw from; then it is
    Wilson's over the columns.

    Args:
        values: (row, column), each between 0 and 1.
    """
    mean = float(values.mean())
    if values.min() == values.max():
        return mean, wilson_of(mean, values.shape[1])
    rng = np.random.default_rng(seed)
    rows, columns = (rng.multinomial(n, np.full(n, 1 / n), size=draws) / n for n in values.shape)
    low, high = np.percentile(
        np.einsum("dr,rc,dc->d", rows, values.astype(float), columns, optimize=True), [2.5, 97.5]
    )
    return mean, (float(low), float(high))


def auc(members: np.ndarray, others: np.ndarray) -> tuple[float, float, float]:
    """(AUC, low, high): how probably a member scores higher than another, ties counting half, with
    its 95 % interval.

    The interval is DeLong's (1988): from how each member is placed among the others and each other
    among the members; where these do not overlap at all, which leaves no spread, Wilson's for as
    many hits as the smaller side has. NaN where one side is empty.
    """
    m, n = len(members), len(others)
    if not m or not n:
        return math.nan, math.nan, math.nan
    from scipy.stats import rankdata

    together = rankdata(np.concatenate([members, others]))
    of_members = (together[:m] - rankdata(members)) / n
    of_others = 1 - (together[m:] - rankdata(others)) / m
    value = float(of_members.mean())
    if value in (0.0, 1.0):
        surely = wilson(min(m, n), min(m, n))[0]
        return (1.0, surely, 1.0) if value else (0.0, 0.0, 1 - surely)
    spread = math.sqrt(
        (of_members.var(ddof=1) / m if m > 1 else 0.25)
        + (of_others.var(ddof=1) / n if n > 1 else 0.25)
    )
    return value, max(0.0, value - 1.959964 * spread), min(1.0, value + 1.959964 * spread)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rank correlation; NaN where one side does not vary."""
    from scipy.stats import rankdata

    a, b = rankdata(x), rankdata(y)
    if len(a) < 2 or a.std() == 0 or b.std() == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def difference(
    one: np.ndarray, other: np.ndarray, groups: tuple[np.ndarray, np.ndarray] | None = None
) -> tuple[float, tuple[float, float]]:
    """Mean of one less mean of the other, and its 95 % interval (Welch's).

    NaN where one side has fewer than two groups.

    Args:
        groups: which values on either side go together, e.g. those of one document; every value
            stands alone by default.
    """
    of_one, of_other = (
        groups if groups is not None else (np.arange(len(one)), np.arange(len(other)))
    )
    mean, error, free = _clustered(one, of_one)
    mean_other, error_other, free_other = _clustered(other, of_other)
    squared = error**2 + error_other**2
    value = mean - mean_other
    if math.isnan(squared) or squared == 0:
        return value, (value + squared, value + squared)  # NaN, or both sides without any spread
    from scipy.stats import t

    # Welch and Satterthwaite's degrees of freedom
    degrees = squared**2 / sum(e**4 / f for e, f in ((error, free), (error_other, free_other)) if f)
    half = float(t.ppf(0.975, degrees) * math.sqrt(squared))
    return value, (value - half, value + half)


def mean_interval(
    values: np.ndarray, groups: np.ndarray | None = None
) -> tuple[float, tuple[float, float]]:
    """Mean and its 95 % interval (Student's); NaN where there are fewer than two groups.

    Args:
        groups: which values go together, e.g. those of one document; every value stands alone by
            default.
    """
    mean, error, free = _clustered(values, groups if groups is not None else np.arange(len(values)))
    if math.isnan(error):
        return mean, (math.nan, math.nan)
    from scipy.stats import t

    half = float(t.ppf(0.975, free) * error)
    return mean, (mean - half, mean + half)


def _clustered(values: np.ndarray, groups: np.ndarray) -> tuple[float, float, int]:
    """(mean, its standard error, degrees of freedom) of values of which those in one group go
    together.

    The error of a ratio of two sums over groups; with groups of one it is that of a plain mean. NaN
    for fewer than two groups.
    """
    n = len(values)
    if not n:
        return math.nan, math.nan, 0
    mean = float(np.mean(values))
    _, which = np.unique(np.asarray(groups), return_inverse=True)
    count = int(which.max()) + 1
    if count < 2:
        return mean, math.nan, 0
    apart = np.bincount(which, weights=np.asarray(values, float) - mean)
    return mean, math.sqrt(count / (count - 1) * float((apart**2).sum())) / n, count - 1
