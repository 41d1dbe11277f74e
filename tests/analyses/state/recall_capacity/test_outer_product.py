"""An outer-product memory against a plain sum of matrices, and the law of its error."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.state.recall_capacity import error_laws
from analyses.state.recall_capacity import outer_product as outer
from analyses.state.recall_capacity.constants import NAME, RULES
from analyses.state.recall_capacity.params import Params
from workbench.progress import Progress
from workbench.result import Result


def plain(rule: str, d: int, items: int, exponent: float, seed: int) -> np.ndarray:
    """Margins by the definition: W as a matrix, item by item, the same random numbers."""
    rng = np.random.default_rng([seed, d])
    p = np.array([x**-exponent for x in range(1, items + 1)])
    p /= p.sum()
    classes = rng.integers(0, outer.CLASSES, items)
    u = rng.standard_normal((outer.CLASSES, d)) / math.sqrt(d)
    e = rng.standard_normal((items, d), dtype=np.float32).astype(float) / math.sqrt(d)
    q = {
        "p": p / p[0],
        "sqrt": np.sqrt(p / p[0]),
        "equal": np.ones(items),
        "top": (np.arange(items) < max(1, d // 8)).astype(float),
    }[rule]
    w = sum(q[x] * np.outer(u[classes[x]], e[x]) for x in range(items))
    margins = []
    for x in range(items):
        scores = u @ w @ e[x]
        others = [scores[y] for y in range(outer.CLASSES) if y != classes[x]]
        margins.append(scores[classes[x]] - max(others))
    return np.array(margins)


@given(
    st.sampled_from(list(RULES)),
    st.sampled_from([8, 32, 50]),
    st.integers(2, 40),
    st.floats(1.0, 3.0),
    st.integers(0, 1000),
)
@settings(max_examples=25)
def test_margins_are_those_of_the_matrix(rule, d, items, exponent, seed):
    memory = outer.build([rule], d, items, exponent, seed)[rule]
    assert memory.margin == pytest.approx(plain(rule, d, items, exponent, seed), abs=2e-5)
    assert memory.p.sum() == pytest.approx(1)
    assert memory.error == pytest.approx(memory.p[memory.margin <= 0].sum())


def test_chunks_change_nothing(monkeypatch):
    whole = outer.build(["p"], 64, 300, 2.0, 0)["p"]
    monkeypatch.setattr(outer, "_CHUNK", 64 * 7)
    assert outer.build(["p"], 64, 300, 2.0, 0)["p"].margin == pytest.approx(whole.margin, abs=1e-5)


def test_few_items_are_all_right_and_far_too_many_alike_are_not():
    assert outer.build(["equal"], 1024, 4, 2.0, 0)["equal"].error == 0
    crowded = outer.build(["equal"], 32, 20_000, 1.0, 0)["equal"]
    assert np.mean(crowded.margin > 0) < 0.35  # a guess is right once in five


def test_what_the_theory_expects_is_what_memories_do():
    """Over 60 memories: Gaussian crosstalk, at one small d."""
    for rule in ("p", "sqrt", "top"):
        errors = [outer.build([rule], 64, 2000, 2.0, seed)[rule].error for seed in range(60)]
        sure = 3 * np.std(errors) / math.sqrt(len(errors))
        expected = outer.expected_error(rule, 64, 2000, 2.0)
        assert abs(np.mean(errors) - expected) < sure + 0.12 * expected


def test_slopes_are_those_of_a_power_law():
    dimensions = [32, 64, 256, 2048]
    assert outer.slope(dimensions, [3 * d**-0.7 for d in dimensions]) == pytest.approx(-0.7)
    assert math.isnan(outer.slope(dimensions, [0.1, 0.01, 0.0, 0.0]))
    assert outer.limit("p", 2.0) == -0.25
    assert outer.limit("sqrt", 2.0) == -0.5
    assert outer.limit("top", 2.0) == -1.0
    assert math.isnan(outer.limit("equal", 2.0))
    assert math.isnan(outer.limit("sqrt", 1.0))


# Beyond 2.5 the errors among the stored items, one in 10,000, are more than those of all others.
@given(st.sampled_from(["p", "sqrt", "top"]), st.floats(1.3, 2.5))
@settings(max_examples=6)
def test_the_finite_theory_goes_to_its_limit(rule, exponent):
    dimensions = [256, 1024]
    expected = [outer.expected_error(rule, d, 20_000, exponent) for d in dimensions]
    assert outer.slope(dimensions, expected) == pytest.approx(outer.limit(rule, exponent), abs=0.16)


def test_a_run_fits_what_it_measured():
    result = Result(NAME)
    params = Params(dimensions=[32, 128, 512], memories=6, items=1000)
    error_laws.measure(result, params, Progress())
    slopes = result.tables["slopes"].set_index(["rule", "from_dimension", "to_dimension"])
    errors = result.tables["errors"].set_index(["rule", "dimension"])["error"]
    for rule in ("p", "top"):
        words = RULES[rule]
        row = slopes.loc[(words, 32, 128)]
        step = math.log(errors[words, 128] / errors[words, 32]) / math.log(4)
        assert row["slope"] == pytest.approx(step)
        assert row["low"] <= row["slope"] <= row["high"]
        assert row["distance"] == pytest.approx(row["slope"] - outer.limit(rule, 2.0))
    law = result.findings["error_law"]
    assert law.values["top"] == pytest.approx(slopes.loc[(RULES["top"], 32, 512), "slope"])
    assert law.values["top_limit"] == -1
    assert errors[RULES["equal"], 32] > 0.5 > errors[RULES["top"], 512]
