"""The rule that tells lost from misplaced."""

from __future__ import annotations

import numpy as np
import pytest

from analyses.measures.forgetting_verdict import (
    KEPT,
    LOST,
    MISPLACED,
    OPEN,
    PARTLY,
    KeptShare,
    RetentionTest,
    has_fallen,
    retained_share,
    verdict,
)

HOLDS, FALLS = KeptShare(0.9, 0.7, 1.0), KeptShare(0.1, -0.1, 0.3)
BETWEEN, NOTHING = KeptShare(0.5, 0.3, 0.7), KeptShare(0.3, -0.1, 0.6)
SILENT = KeptShare(np.nan, np.nan, np.nan)
OTHERS = {"among the answers": FALLS, "few-shot": FALLS, "probe": FALLS}


@pytest.mark.parametrize(
    ("fell", "shares", "wanted"),
    [
        (False, {"re-alignment": FALLS}, KEPT),
        (None, {"re-alignment": HOLDS}, OPEN),
        (True, {**OTHERS, "re-alignment": HOLDS}, MISPLACED),
        (True, {**OTHERS, "few-shot": HOLDS, "re-alignment": FALLS}, MISPLACED),
        (True, {**OTHERS, "re-alignment": FALLS}, LOST),
        (True, {**OTHERS, "probe": SILENT, "re-alignment": FALLS}, LOST),
        (True, {**OTHERS, "probe": HOLDS, "re-alignment": FALLS}, PARTLY),
        (True, {**OTHERS, "re-alignment": BETWEEN}, PARTLY),
        (True, {**OTHERS, "re-alignment": NOTHING}, OPEN),
        (True, {**OTHERS, "re-alignment": SILENT}, OPEN),
        (True, OTHERS, LOST),
        (True, {}, OPEN),
    ],
)
def test_the_rule(fell, shares, wanted):
    assert verdict(fell, shares) == wanted


def test_a_kept_share_is_measured_above_the_floor():
    before, floor = np.ones(40), np.repeat([1.0, 0.0], [10, 30])
    found = retained_share(RetentionTest(before, np.repeat([1.0, 0.0], [25, 15]), floor))
    assert found.value == pytest.approx((25 / 40 - 10 / 40) / (1 - 10 / 40))
    assert found.low < found.value < found.high
    assert found.holds is None
    assert retained_share(RetentionTest(before, before, floor)).holds is True
    assert retained_share(RetentionTest(before, floor, floor)).holds is False


def test_a_test_that_told_nothing_before_tells_nothing():
    guess = np.repeat([1.0, 0.0], [10, 30])
    found = retained_share(RetentionTest(guess, guess, guess))
    assert np.isnan(found.value)
    assert found.holds is None


def test_a_fall():
    ones = np.ones(30)
    assert has_fallen(ones, np.zeros(30)) is True
    assert has_fallen(ones, ones) is False
    assert has_fallen(ones, np.repeat([0.0, 1.0], [3, 27])) is None
    many = np.ones(2000)  # 6 of 100 surely fell, but by more than 5 points not surely
    assert has_fallen(many, np.repeat([0.0, 1.0], [120, 1880])) is False
    assert has_fallen(many, np.repeat([0.0, 1.0], [160, 1840])) is True
