"""Recognition, where a rate passes halfway, and log-odds; decay, survival and forecasts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analyses.measures.exposure_decay import (
    fit_laws,
    half_life,
    lag_bins,
    log_rank,
    retained,
    survival,
)
from analyses.measures.exposure_dose import (
    doublings,
    halfway,
    logistic,
    logistic_intervals,
    recognition,
)
from analyses.measures.exposure_forecast import (
    compressibility,
    forecast,
    nesting_violations,
    ranking,
)


def test_recognition_is_every_pair_of_a_kind() -> None:
    rng = np.random.default_rng(0)
    own, foils = rng.normal(size=(5, 3)).round(1), rng.normal(size=(7, 3)).round(1)
    kinds, of_foils = np.array([0, 0, 1, 1, 2]), np.array([0, 0, 0, 1, 1, 1, 1])
    found = recognition(own, foils, kinds, of_foils)
    for i in range(5):
        pairs = [j for j in range(7) if of_foils[j] == kinds[i]]
        for c in range(3):
            score = [
                0.5 if own[i, c] == foils[j, c] else float(own[i, c] < foils[j, c]) for j in pairs
            ]
            if pairs:
                assert found[i, c] == pytest.approx(np.mean(score))
            else:
                assert math.isnan(found[i, c])


def test_doublings() -> None:
    assert doublings(np.array([0, 1, 2, 3, 4, 7, 8, 63, 64])).tolist() == [
        0, 1, 2, 2, 4, 4, 8, 32, 64,
    ]  # fmt: skip


def test_halfway_is_read_off_between_two_doses() -> None:
    """1 of 4 at four readings, 3 of 4 at sixteen: one half at eight."""
    readings = np.repeat([1.0, 4.0, 16.0], 4)
    hits = np.array([0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 0], float)
    value, (low, high) = halfway(readings, hits, 0.5, np.arange(12))
    assert value == pytest.approx(8)
    assert low <= value <= high
    assert halfway(readings, np.zeros(12), 0.5, np.arange(12))[0] == math.inf
    assert halfway(readings, np.ones(12), 0.5, np.arange(12))[0] == 1


def test_log_odds_are_those_of_the_counts() -> None:
    """30 of 40 against 10 of 40: the odds are 3 and 1/3."""
    group = np.repeat([0.0, 1.0], 40)
    hits = np.concatenate([np.arange(40) < 10, np.arange(40) < 30]).astype(float)
    design = np.column_stack([np.ones(80), group])
    found = logistic(design, hits, ridge=1e-9)
    np.testing.assert_allclose(found, [math.log(1 / 3), 2 * math.log(3)], atol=1e-3)
    doubled = logistic(design, hits, np.full(80, 2.0), ridge=1e-9)
    np.testing.assert_allclose(doubled, found, atol=1e-3)
    value, (low, high) = logistic_intervals(design, hits, np.arange(80), draws=60)
    assert (low < value).all()
    assert (value < high).all()
    assert np.isfinite(logistic(design, group)).all()  # separated: shrunk, not infinite


def test_what_is_left_is_a_ratio_of_means() -> None:
    gains, peaks = np.array([1.0, 0.0, 2.0]), np.array([2.0, 1.0, 3.0])
    share, (low, high) = retained(gains, peaks, np.arange(3))
    assert share == pytest.approx(0.5)
    assert low <= share <= high
    assert math.isnan(retained(gains, -peaks, np.arange(3))[0])


@pytest.mark.parametrize(
    ("law", "left"),
    [
        ("b − a ln t", lambda t: 1.2 - 0.15 * np.log(t)),
        ("(1 + t)^−a", lambda t: (1 + t) ** -0.3),
        ("exponential", lambda t: np.exp(-0.004 * t)),
    ],
)
def test_the_law_that_made_the_points_fits_best(law: str, left: object) -> None:
    lags = np.array([5.0, 20, 60, 150, 300, 600])
    fits = fit_laws(lags, left(lags))  # type: ignore[operator]
    assert min(fits, key=lambda name: fits[name][2]) == law
    assert fits[law][0] == pytest.approx({"b": 0.15, "(": 0.3, "e": 0.004}[law[0]], rel=1e-3)


def test_half_life() -> None:
    assert half_life(np.array([10.0, 100.0]), np.array([0.5, 0.2])) == pytest.approx(10)
    assert half_life(np.array([10.0, 100.0]), np.array([0.9, 0.8])) == math.inf
    between = half_life(np.array([10.0, 100.0]), np.array([0.6, 0.4]))
    assert between == pytest.approx(math.expm1((math.log1p(10) + math.log1p(100)) / 2))
    assert lag_bins(np.array([1.0, 9.0, 10.0, 5000.0])).tolist() == [1, 1, 2, 10]


def test_survival_by_hand() -> None:
    """Kaplan and Meier: one of four is lost at 5, one is not seen beyond 7, one of two is lost at
    9.
    """
    lasted, lost = np.array([5.0, 7.0, 9.0, 12.0]), np.array([True, False, True, False])
    times, share = survival(lasted, lost)
    assert times.tolist() == [5, 9]
    np.testing.assert_allclose(share, [3 / 4, 3 / 4 * 1 / 2])
    assert len(survival(lasted, np.zeros(4, bool))[0]) == 0


def test_groups_that_differ_are_told_apart() -> None:
    lasted = np.concatenate([np.arange(1.0, 13), np.arange(40.0, 52)])
    groups = np.repeat([0, 1], 12)
    lost = np.ones(24, bool)
    assert log_rank(lasted, lost, groups, draws=200) < 0.02
    rng = np.random.default_rng(0)
    assert log_rank(lasted, lost, rng.permutation(groups), draws=200) > 0.05


def test_forecasts_count() -> None:
    said, true = np.array([1, 1, 1, 0, 0], bool), np.array([1, 1, 0, 1, 0], bool)
    found = forecast(said, true)
    assert (found.precision, found.recall) == (2 / 3, 2 / 3)
    assert (found.said, found.true, found.both) == (3, 3, 2)
    assert math.isnan(forecast(np.zeros(5, bool), true).precision)
    assert ranking(np.array([5.0, 4, 1, 3, 2]), true)[0] == 1
    assert nesting_violations({8: said, 16: true}) == (1, 4)
    assert compressibility(["aaaaaaaaaaaaaaaaaaaaaaaa"])[0] > compressibility(["qzjxkvbpgfyw"])[0]
