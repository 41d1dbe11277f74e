"""Intervals, against plain simulation, SciPy, and cases whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_ind

from analyses.measures.statistics import (
    auc,
    difference,
    mean_interval,
    paired_gain,
    rate_interval,
    rates_apart,
    sign,
    two_way,
    wilson,
)


def test_an_interval_that_covers_both_sides_tells_nothing() -> None:
    assert [
        sign(0.1, 0.9),
        sign(-2, -1),
        sign(-1, 1),
        sign(0.1, 0.9, at=0.5),
        sign(math.nan, math.nan),
    ] == [
        True,
        False,
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("minus", "plus", "n"), [(0, 3, 8), (0, 4, 12), (1, 5, 20), (0, 1, 12), (6, 2, 30)]
)
def test_a_paired_gain_is_bounded_as_by_drawing_the_facts_again(
    minus: int, plus: int, n: int
) -> None:
    gains = np.array([-1] * minus + [1] * plus + [0] * (n - minus - plus))
    mean, (low, high) = paired_gain(gains)
    drawn = np.random.default_rng(1).choice(gains, (200_000, n)).sum(1)
    assert mean == pytest.approx((plus - minus) / n)
    # The bounds are possible values; the share of draws below and above is what an exact percentile
    # leaves.
    assert (drawn < round(low * n)).mean() <= 0.027
    assert (drawn <= round(low * n)).mean() >= 0.023
    assert (drawn > round(high * n)).mean() <= 0.027
    assert low <= mean <= high


@pytest.mark.parametrize("n", [1, 7, 200])
def test_where_all_change_alike_the_number_of_facts_says_how_sure(n: int) -> None:
    surely = wilson(n, n)[0]
    assert paired_gain(np.ones(n, int)) == (1, (surely, 1))
    assert paired_gain(-np.ones(n, int)) == (-1, (-1, -surely))
    none, (low, high) = paired_gain(np.zeros(n, int))
    assert none == 0
    assert (low, high) == pytest.approx((-wilson(0, n)[1], wilson(0, n)[1]))


def test_one_of_twelve_facts_is_no_gain_and_four_are() -> None:
    assert paired_gain(np.array([1] + [0] * 11))[1][0] == 0
    assert paired_gain(np.array([1] * 4 + [0] * 8))[1][0] > 0


def test_random_sets_on_the_same_facts_are_as_sure_as_the_facts() -> None:
    """Twenty sets that change nothing: the interval is that of the facts, not of twenty times as
    many.
    """
    facts = np.array([1] * 9 + [0] * 14)
    mean, (low, high) = two_way(np.tile(facts, (20, 1)))
    assert mean == pytest.approx(9 / 23)
    by_facts, as_if_independent = wilson(9, 23), wilson(180, 460)
    assert (low, high) == pytest.approx(by_facts, abs=0.04)
    assert high - low > 3 * (as_if_independent[1] - as_if_independent[0])


def test_both_ways_are_drawn_again() -> None:
    """Known truth: rates of rows and columns of their own; the interval holds the true mean
    about as often as it says.
    """
    rng, held = np.random.default_rng(0), 0
    for _ in range(200):
        p = 0.5 + 0.15 * rng.standard_normal((12, 1)) + 0.15 * rng.standard_normal((1, 25))
        _, (low, high) = two_way((rng.random(p.shape) < p).astype(float), draws=300)
        held += low <= 0.5 <= high
    assert held / 200 > 0.9


def test_all_alike_is_bounded_by_the_facts_there_were() -> None:
    assert two_way(np.zeros((20, 23)))[1] == pytest.approx(wilson(0, 23), abs=1e-5)


def test_windows_of_one_document_count_as_far_as_they_vary() -> None:
    alone = np.arange(40)
    hits = np.array([True] * 10 + [False] * 30)
    low, high = rate_interval(hits, alone)
    assert (low, high) == pytest.approx(wilson(10, 40), abs=0.01)
    # Four documents of ten windows, each wholly said or not at all: four units, not forty.
    low, high = rate_interval(hits, alone // 10)
    few = wilson(1, 4)
    assert high - low > 0.8 * (few[1] - few[0])
    assert rate_interval(np.zeros(40, bool), alone // 10) == wilson(0, 40)
    assert rate_interval(np.zeros(0, bool), np.zeros(0)) == (0.0, 1.0)


def test_alone_they_are_students_and_welchs() -> None:
    draw = np.random.default_rng(0)
    one, other = draw.normal(1, 2, 7), draw.normal(0, 1, 12)
    mean, (low, high) = mean_interval(one)
    half = student.ppf(0.975, 6) * one.std(ddof=1) / math.sqrt(7)
    assert (mean, low, high) == pytest.approx((one.mean(), one.mean() - half, one.mean() + half))
    theirs = ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert difference(one, other)[1] == pytest.approx((theirs.low, theirs.high))
    assert math.isnan(mean_interval(one[:1])[1][0])
    assert math.isnan(difference(one[:1], other)[1][0])
    assert math.isnan(difference(one[:0], other)[0])


def test_values_that_go_together_count_once() -> None:
    """Every value said five times over tells no more than it does once."""
    once = np.random.default_rng(0).normal(1, 1, 8)
    many, which = np.repeat(once, 5), np.repeat(np.arange(8), 5)
    assert mean_interval(many, which)[1] == pytest.approx(mean_interval(once)[1])
    assert mean_interval(many)[1] != pytest.approx(mean_interval(once)[1])
    other = np.random.default_rng(1).normal(0, 1, 6)
    assert difference(many, np.repeat(other, 3), (which, np.repeat(np.arange(6), 3)))[
        1
    ] == pytest.approx(difference(once, other)[1])


def test_two_rates_are_apart_as_newcombe_has_it() -> None:
    """Newcombe 1998 (Statistics in Medicine 17, 873), method 10, first row of his table II:
    56/70 less 48/80.
    """
    assert rates_apart(56 / 70, 70, 48 / 80, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)


@pytest.mark.parametrize(("m", "n"), [(60, 60), (5, 200)])
def test_where_nothing_overlaps_the_smaller_side_says_how_sure(m: int, n: int) -> None:
    surely = wilson(min(m, n), min(m, n))[0]
    assert auc(np.full(m, 2.0), np.full(n, 1.0)) == (1, surely, 1)
    assert auc(np.full(m, 1.0), np.full(n, 2.0)) == (0, 0, pytest.approx(1 - surely))
