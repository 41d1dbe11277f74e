"""Intervals and rank statistics that more than one analysis needs."""

from __future__ import annotations

import math

import numpy as np


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a rate (Wilson 1927): honest at 0 and 1, where the usual one has no width."""
    if n == 0:
        return (0.0, 1.0)
    from scipy.stats import binomtest

    interval = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def auc(members: np.ndarray, others: np.ndarray) -> tuple[float, float, float]:
    """(AUC, low, high): how probably a member scores higher than another, ties counting half, with its 95 % interval.

    The interval is DeLong's (1988): from how each member is placed among the others and each other among the members.
    NaN where one side is empty.
    """
    m, n = len(members), len(others)
    if not m or not n:
        return math.nan, math.nan, math.nan
    from scipy.stats import rankdata

    together = rankdata(np.concatenate([members, others]))
    of_members = (together[:m] - rankdata(members)) / n
    of_others = 1 - (together[m:] - rankdata(others)) / m
    value = float(of_members.mean())
    spread = math.sqrt((of_members.var(ddof=1) / m if m > 1 else 0.25) + (of_others.var(ddof=1) / n if n > 1 else 0.25))
    return value, max(0.0, value - 1.959964 * spread), min(1.0, value + 1.959964 * spread)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rank correlation; NaN where one side does not vary."""
    from scipy.stats import rankdata

    a, b = rankdata(x), rankdata(y)
    if len(a) < 2 or a.std() == 0 or b.std() == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def difference(one: np.ndarray, other: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Mean of one less mean of the other, and its 95 % interval (Welch's); NaN where one side has fewer than two."""
    if min(len(one), len(other)) < 2:
        return (float(np.mean(one) - np.mean(other)) if len(one) and len(other) else math.nan), (math.nan, math.nan)
    from scipy.stats import ttest_ind

    interval = ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    return float(np.mean(one) - np.mean(other)), (float(interval.low), float(interval.high))


def mean_interval(values: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Mean and its 95 % interval (Student's); NaN where there are fewer than two."""
    if len(values) < 2:
        return (float(values[0]) if len(values) else math.nan), (math.nan, math.nan)
    from scipy.stats import t

    mean = float(np.mean(values))
    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
    return mean, (mean - half, mean + half)
