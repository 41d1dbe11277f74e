"""How knowledge conflict tells answers apart; its rates and resamplings, against plain formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.context.knowledge_conflict import cases as made
from analyses.context.knowledge_conflict import stability
from analyses.context.knowledge_conflict.answer_rates import Rates, wilson
from analyses.context.knowledge_conflict.held_out_eval import RandomSets


def test_sizes_of_random_sets_are_not_mixed():
    few = RandomSets(1, [[(0, 0)]] * 3, np.array([["memory", "context"]] * 3))
    many = RandomSets(5, [[(0, 0)]] * 3, np.array([["other", "other"]] * 3))
    assert few.row()["memory"] == 0.5
    assert few.and_those(few).row()["sets"] == 6
    with pytest.raises(AssertionError, match="different sizes"):
        few.and_those(many)


def test_how_often_a_head_is_chosen_again_is_a_plain_resampling():
    draw = np.random.default_rng(0)
    each = draw.normal([[0.5, 0.4, 0.0, np.nan]], 1.0, (10, 1, 4))
    shares = stability.reselection_rate(each, 2, 0, 4000)
    assert shares[0, 3] == 0
    counts = np.zeros(4)
    for _ in range(4000):
        mean = each[draw.integers(0, 10, 10)].mean(0)[0]
        for head in np.argsort(-np.nan_to_num(mean, nan=-9))[:2]:
            counts[head] += mean[head] > 0
    np.testing.assert_allclose(shares[0], counts / 4000, atol=0.04)


def test_the_number_of_heads_is_drawn_again_too():
    curve = {
        1: Rates.of(["memory"] * 6 + ["context"] * 4),
        3: Rates.of(["memory"] * 6 + ["other"] * 4),
    }
    assert stability.same_number_rate(curve, "context", 0) == {1: 1.0, 3: 0.0}
    curve[3] = Rates.of(["context"] * 3 + ["memory"] * 7)
    shares = stability.same_number_rate(curve, "context", 0)
    assert 0.4 < shares[3] < 0.8
    assert sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "answer", "ended", "want"),
    [
        (" Paris.", "Paris", False, True),
        (" Paris", "Paris", False, None),
        (" Paris", "Paris", True, True),
        (" Parisian", "Paris", True, False),
        (" Brasília, the", "Brasilia", False, True),
        (" N'Dja", "N'Djamena", False, None),
        (" N'Dja", "N'Djamena", True, False),
        ("", "Paris", False, None),
        ("", "Paris", True, False),
        (" the city of Paris", "Paris", False, False),
    ],
)
def test_says(text, answer, ended, want):
    assert made.matches_answer(text, answer, ended=ended) is want


def test_an_answer_that_begins_another_waits_for_the_end():
    assert made.outcome(" Niger", "Niger", "Nigeria", ended=False) is None
    assert made.outcome(" Nigeria.", "Niger", "Nigeria", ended=False) == "context"
    assert made.outcome(" Niger.", "Niger", "Nigeria", ended=False) == "memory"
    assert made.outcome(" Ghana", "Niger", "Nigeria", ended=False) == "other"


@given(st.integers(0, 200), st.integers(1, 200))
@settings(deadline=None)  # the first call imports SciPy
def test_wilson_holds_the_rate(hits, n):
    hits = min(hits, n)
    low, high = wilson(hits, n)
    assert 0 <= low <= hits / n <= high <= 1


def test_wilson_known_values():
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)


@given(st.lists(st.sampled_from(["memory", "context", "other"]), min_size=1, max_size=60))
def test_rates_add_up(outcomes):
    rates = Rates.of(outcomes)
    assert rates.n == len(outcomes)
    assert sum(rates[o] for o in ("memory", "context", "other")) == pytest.approx(1)
