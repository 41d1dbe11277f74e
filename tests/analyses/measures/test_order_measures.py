"""Orders, their distances, and how well changes are ranked."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from analyses.measures.order_agreement import agreement, explained, gained
from analyses.measures.order_permutations import REVERSED, TYPED, chosen, distance, typed
from workbench.errors import BadInput


def test_distance_is_kendalls():
    draw = np.random.default_rng(0)
    for _ in range(5):
        order = draw.permutation(7)
        tau = kendalltau(np.arange(7), order).statistic
        assert distance(order) == pytest.approx((1 - tau) / 2)
    assert distance([0, 1, 2]) == 0
    assert distance([2, 1, 0]) == 1


def test_chosen_orders_are_others_and_each_once():
    orders = chosen(8, 12, 0)
    assert len(orders) == 12
    assert tuple(range(8)) not in orders
    assert all(sorted(order) == list(range(8)) for order in orders)
    assert orders[7, 6, 5, 4, 3, 2, 1, 0] == REVERSED
    assert chosen(8, 12, 0) == orders != chosen(8, 12, 1)
    assert len(chosen(3, 100, 0)) == 5  # there are no more


def test_typed_orders():
    assert typed("3 1 2; 2,1,3;", 3) == {(2, 0, 1): TYPED, (1, 0, 2): TYPED}
    for wrong in ("1 2", "1 1 2", "0 1 2", "a b c", "1 2 3", ";", "-1 2 3", "9" * 5000):
        with pytest.raises(BadInput):
            typed(wrong, 3)


def test_agreement_is_spearmans_with_an_interval_over_orders():
    draw = np.random.default_rng(0)
    real = draw.normal(size=(12, 6))
    near, none = real + 0.3 * draw.normal(size=real.shape), draw.normal(size=real.shape)
    good, bad = agreement(near, real), agreement(none, real)
    assert good.r == pytest.approx(spearmanr(near.ravel(), real.ravel()).statistic)
    assert 0.8 < good.low < good.r < good.high < 1
    assert bad.low < 0 < bad.high
    more = gained(near, none, real)
    assert more.low > 0
    assert more.r == pytest.approx(good.r - bad.r)
    assert np.isnan(agreement(np.zeros_like(real), real).r)
    # One order says nothing of others, however well it is ranked.
    one = agreement(near[:1], real[:1])
    assert one.r > 0.5
    assert np.isnan([one.low, one.high, gained(near[:1], none[:1], real[:1]).low]).all()


def test_explained_is_one_where_exact_and_zero_where_nothing_is_said():
    real = np.random.default_rng(0).normal(size=(4, 3))
    assert explained(real, real) == 1
    assert explained(np.zeros_like(real), real) == 0
    assert explained(3 * real, real) == pytest.approx(-3)
