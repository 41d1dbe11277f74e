"""Difference-in-differences, against loops and against worlds whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from analyses.measures.exposure_effects import (
    NEVER,
    beside_kind,
    cohort_effects,
    placebo_coverage,
    stratified,
)
from workbench.errors import BadInput


def world(effect: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(value of 80 texts at 6 steps, cohort): all drift together, those of cohort 2 and 4 rise by
    `effect` from their step on.
    """
    rng = np.random.default_rng(seed)
    cohort = np.repeat([2, 4, NEVER], [12, 15, 53])
    values = rng.normal(size=(80, 1)) + np.linspace(0, 3, 6) + 0.2 * rng.normal(size=(80, 6))
    for g in (2, 4):
        values[cohort == g, g:] += effect
    return values, cohort


def test_it_is_the_plain_formula() -> None:
    values, cohort = world()
    found = cohort_effects(values, cohort)
    assert found.cohorts.tolist() == [2, 4]
    assert found.n.tolist() == [12, 15]
    never = [i for i in range(80) if cohort[i] == NEVER]
    for row, g in enumerate((2, 4)):
        own = [i for i in range(80) if cohort[i] == g]
        for c in range(6):
            one = np.mean([values[i, c] - values[i, g - 1] for i in own])
            other = np.mean([values[i, c] - values[i, g - 1] for i in never])
            assert found.effect[row, c] == pytest.approx(one - other)
            plain = np.mean([values[i, c] for i in own]) - np.mean([values[i, c] for i in never])
            assert found.plain[row, c] == pytest.approx(plain)
        assert (found.effect[row, g - 1], found.error[row, g - 1]) == (0, 0)


def test_by_event_weighs_cohorts_by_their_size() -> None:
    values, cohort = world()
    found = cohort_effects(values, cohort)
    for event, value in zip(found.events, found.by_event, strict=True):
        cells = [
            (n, found.effect[row, g + event])
            for row, (g, n) in enumerate(zip(found.cohorts, found.n, strict=True))
            if 0 <= g + event < 6
        ]
        expected = sum(n * e for n, e in cells) / sum(n for n, _ in cells)
        assert value == pytest.approx(expected)


def test_an_effect_is_found_and_nothing_before_it() -> None:
    found = cohort_effects(*world())
    assert found.outside(before=True) == 0
    assert found.outside(before=False) == found.cells(before=False) == 6
    assert found.effect[0, 2:].mean() == pytest.approx(1.0, abs=0.15)


def test_a_trend_of_its_own_before_the_reading_is_seen() -> None:
    values, cohort = world()
    values[cohort == 4] += np.linspace(0, 4, 6)
    assert cohort_effects(values, cohort).outside(before=True) > 0


def test_the_band_holds_texts_that_were_never_read() -> None:
    """Of skewed values and small cohorts, where signs alone hold too seldom."""
    rng = np.random.default_rng(1)
    values = rng.exponential(size=(150, 1)) + np.cumsum(rng.exponential(size=(150, 8)) - 1, 1)
    held, rounds = placebo_coverage(values, np.array([8, 8, 20]), np.array([1, 3, 5]))
    assert rounds == 100
    assert held >= 89


def test_kinds_are_compared_within() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0], [10.0, 20.0], [12.0, 26.0]])
    never = np.array([False, True, False, True])
    beside = beside_kind(values, np.array([0, 0, 1, 1]), never)
    assert beside.tolist() == [[-2, -2], [0, 0], [-2, -6], [0, 0]]


def test_too_few_controls_are_counted() -> None:
    values, cohort = world()
    few = np.flatnonzero(cohort != NEVER).tolist() + np.flatnonzero(cohort == NEVER)[:4].tolist()
    with pytest.raises(BadInput, match="4 texts of this ledger were never read"):
        cohort_effects(values[few], cohort[few])
    small = np.where(np.arange(80) < 2, 2, NEVER)
    with pytest.raises(BadInput, match="No cohort is large enough"):
        cohort_effects(values, small)


def test_strata_are_weighed_by_their_size() -> None:
    one, other = np.array([1.0, 3.0, 10.0, 12.0, 11.0]), np.array([0.0, 2.0, 4.0, 6.0])
    apart, (low, high) = stratified(one, other, np.array([1, 1, 2, 2, 2]), np.array([1, 1, 2, 2]))
    assert apart == pytest.approx((4 * (2 - 1) + 5 * (11 - 5)) / 9)
    assert low < apart < high


def test_the_band_by_event_holds_texts_that_were_never_read() -> None:
    """In 96 of 100 deals; in 76 where a small cohort counts as no more spread out than it is."""
    rng = np.random.default_rng(1)
    values = rng.exponential(size=(120, 1)) + np.cumsum(rng.exponential(size=(120, 8)) - 1, 1)
    held = 0
    for deal in range(100):
        cohort = np.full(120, NEVER)
        cohort[rng.permutation(120)[:24]] = np.repeat([1, 3, 5], 8)
        found = cohort_effects(values, cohort, seed=deal, draws=200)
        half = found.event_critical * found.event_error
        held += bool((np.abs(found.by_event) <= half + 1e-12).all())
    assert held >= 89
