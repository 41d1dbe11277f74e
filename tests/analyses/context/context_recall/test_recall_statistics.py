"""Variance components, regressions, and ends of lists against plain formulas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analyses.context.context_recall import interference, serial_position, variance
from analyses.measures.recall_contexts import key_value


def test_components_are_those_that_made_the_numbers() -> None:
    """Large designs whose effects are drawn with known variances."""
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(0, 2, 60), rng.normal(0, 1, 50), np.zeros(4)
    noise = rng.normal(0, 1, (60, 50, 4))
    values = a[:, None, None] + b[None, :, None] + c + noise
    found = variance.components(values, ["a", "b", "c"])
    total = a.var(ddof=1) + b.var(ddof=1) + 1
    assert found["a"] == pytest.approx(a.var(ddof=1) / total, abs=0.02)
    assert found["b"] == pytest.approx(b.var(ddof=1) / total, abs=0.02)
    assert found["c"] == pytest.approx(0, abs=0.01)
    assert sum(found.values()) == pytest.approx(1)


def test_components_by_hand() -> None:
    values = np.array([[1.0, 3.0], [5.0, 9.0]])
    # Means 2, 7 and 3, 6 around 4.5: sums of squares 25, 9, and 1 of the interaction.
    a, b, rest = (25 - 1) / 2, (9 - 1) / 2, 1.0
    found = variance.components(values, ["a", "b"])
    assert found["a"] == pytest.approx(a / (a + b + rest))
    assert found["b"] == pytest.approx(b / (a + b + rest))
    assert found[variance.REST] == pytest.approx(rest / (a + b + rest))


def test_a_design_is_put_in_order_and_factors_of_one_level_are_left_out() -> None:
    frame = pd.DataFrame(
        [(x, y, "only", 10 * x + y) for y in range(3) for x in range(2)],
        columns=["x", "y", "z", "v"],
    )
    values = variance.crossed(frame, "v", ["x", "y", "z"])
    assert values[:, :, 0].tolist() == [[0, 1, 2], [10, 11, 12]]
    table = variance.table(frame, "v", ["y", "x", "z"], "y", 0)
    assert set(table["factor"]) == {"x", "y", variance.REST}


def test_a_logistic_regression_solves_its_equations_and_finds_its_coefficients() -> None:
    rng = np.random.default_rng(1)
    x = np.column_stack([np.ones(4000), rng.normal(size=4000), rng.normal(size=4000)])
    true = np.array([-0.5, 1.0, -2.0])
    y = (rng.random(4000) < 1 / (1 + np.exp(-x @ true))).astype(float)
    found = interference.logistic(x, y)
    p = 1 / (1 + np.exp(-x @ found))
    assert np.allclose(x.T @ (y - p), 1e-2 * found, atol=1e-5)
    assert np.allclose(found, true, atol=0.2)


def test_items_and_distance_are_told_apart() -> None:
    """Recall that falls with items between and not with neutral text, and the other way round."""
    rng = np.random.default_rng(2)
    rows = [
        (n, pairs, place, neutral)
        for n in range(60) for pairs in (4, 8, 12) for neutral in (0, 32, 64)
        for place in range(pairs)
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["list", "pairs", "place", "neutral"])
    frame = interference.distance(frame, 12)
    assert (frame.loc[frame["place"] == frame["pairs"] - 1, "items"] == 0).all()
    for item, neutral in ((-0.3, 0.0), (0.0, -0.2)):
        odds = 1 + item * frame["items"] + neutral * frame["neutral"] / 4
        made = frame.assign(correct=rng.random(len(frame)) < 1 / (1 + np.exp(-odds)))
        fit = interference.fit(made, 0).set_index("what")
        for name, value in (("item between", item), ("as much neutral text", neutral)):
            assert fit.loc[name, "low"] < value < fit.loc[name, "high"]
        difference = fit.loc["item, less as much neutral text"]
        assert (difference["high"] < 0) == (item < 0)


def test_ends_of_a_list_are_means_over_lists() -> None:
    rng = np.random.default_rng(3)
    hits = rng.random((20, 9)) < 0.5
    frame = pd.DataFrame(
        [("lists", n, p + 1, bool(hits[n, p])) for n in range(20) for p in range(9)],
        columns=["condition", "context", "position", "correct"],
    )
    table = serial_position.ends(frame).set_index("effect")
    middle = hits[:, 3:6].mean()
    assert table.loc["primacy", "mean"] == pytest.approx(hits[:, :3].mean() - middle)
    assert table.loc["recency", "mean"] == pytest.approx(hits[:, 6:].mean() - middle)


def test_intrusions_are_counted_by_place() -> None:
    frame = pd.DataFrame({
        "condition": "lists", "position": [1, 2, 3, 1, 2, 3], "place": [0, 1, 2, 0, 1, 2],
        "correct": [True, False, False, True, True, False], "intruder": [-1, 2, -1, -1, -1, 0],
    })  # fmt: skip
    shares = serial_position.intrusions(frame)
    assert shares.tolist() == [[1, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0]]
    lags = serial_position.intrusion_lags(shares)
    assert lags == {-2: 0.5, -1: 0.0, 1: 0.25, 2: 0.0}


def test_beginnings_of_a_list_ask_for_what_they_have() -> None:
    whole = key_value(12, 1)
    part = interference._beginning(whole, 4)
    assert whole.text.startswith(part.text)
    assert part.text.count("\n") == 4 == len(part.questions)
    assert part.questions[0].candidates == whole.questions[0].candidates


def test_competing_lists_are_the_same_but_for_names() -> None:
    from analyses.context.context_recall import Params

    made = interference.competition_contexts(Params(lists=12))
    same, other, alike, unlike = made[:4]
    assert [line.split(": ")[1] for line in same.text.split("\n")[:-1]] == [
        line.split(": ")[1] for line in other.text.split("\n")[:-1]
    ]
    names = [line.split(":")[0].split(", ")[1] for line in same.text.split("\n")[:-1]]
    assert names[:4] == names[4:]
    assert len({line.split(":")[0].split(", ")[1] for line in other.text.split("\n")[:-1]}) == 8
    assert len({line.split(" ")[0] for line in alike.text.split("\n")[:-1]}) == 1
    assert len({line.split(" ")[0] for line in unlike.text.split("\n")[:-1]}) == 4
    for context in made[:4]:
        for question, item in zip(context.questions, context.items, strict=True):
            assert context.text[slice(*item)] == f"{question.ask}{question.answer}"
