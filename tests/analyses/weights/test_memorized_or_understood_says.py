"""What a run says of numbers that are given: where memorizing begins, what the first sentence may
claim, and how claims are judged.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from analyses.claims import OPEN
from analyses.measures.statistics import paired_gain
from analyses.weights import memorized_or_understood as analysis
from analyses.weights.memorized_or_understood import answer, claims, path_part
from analyses.weights.memorized_or_understood import constants as c
from workbench.result import Finding, Result


@pytest.mark.parametrize(
    ("told", "begins"),
    [
        ([False, True, False, True, True], 300),  # the first was chance
        ([True, True], 0),
        ([True, True, False], None),
        ([False] * 11, None),
    ],
)
def test_memorizing_begins_where_all_later_steps_have_it(told: list[bool], begins: Any) -> None:
    assert path_part.memorized_from({100 * n: yes for n, yes in enumerate(told)}) == begins


def _along(begins: bool) -> Result:
    """Fresh puzzles: at first 8 of 10 are solved, at the end 2 of these."""
    result, rows, limem = Result(analysis.name), [], []
    for step, fresh in ((0, 0.8), (100, 0.2)):
        for of, solved in ((c.TRAINED, 0.9), (c.FRESH, fresh)):
            rows.append({"step": step, "of": of, "version": c.ORIGINAL, "solved": solved, "n": 10})
            high = begins and step == 100 and of == c.TRAINED
            limem.append({"step": step, "of": of, "limem": 0.9 if high else 0.1, "n": 40})
    result.tables["path"], result.tables["path_limem"] = pd.DataFrame(rows), pd.DataFrame(limem)
    at_first = np.arange(10) < 8
    path_part._say(result, {0: at_first.astype(int), 100: (np.arange(10) < 2).astype(int)})
    return result


def test_a_change_is_of_the_same_puzzles_and_only_said_where_something_begins() -> None:
    found = _along(begins=True).findings["path"]
    gain, span = paired_gain(np.repeat([0, -1], [4, 6]))
    assert found.values["change"] == gain == -0.6
    assert isinstance(found.interval, dict)
    assert found.interval["change"] == span
    assert "gave way to what it memorized" in found.says
    nothing = _along(begins=False)
    assert "change" not in nothing.findings["path"].values
    assert "From no kept step on" in nothing.findings["path"].says
    assert "gave way" not in nothing.findings["path"].says
    assert claims._together(nothing).verdict == OPEN


@pytest.mark.parametrize(
    ("single", "others", "verdict"),
    [(0.3, 1.0, "does not replicate"), (1.0, 0.3, "replicates"), (0.5, 0.5, "cannot be told")],
)
def test_single_items_are_held_to_the_other_forms_of_the_same_facts(
    single: float, others: float, verdict: str
) -> None:
    n, result = 20, Result(analysis.name)
    shares = {form: single if form == c.SINGLE else others for form in c.FORMS}
    items = [
        {"fact": fact, "form": form, "right": fact < share * n}
        for fact in range(n)
        for form, share in shares.items()
    ]
    rows = [
        {"model": c.MODEL, "form": form, "rate": share, "low": 0.0, "high": 1.0, "n": n,
         "chance": 0.5 if form in (c.TRUE_FALSE, c.COMPARISON) else 0.25}
        for form, share in shares.items()
    ]  # fmt: skip
    if single == others:  # forms guess differently well: as far above chance
        for row in rows:
            row["chance"] = 0.25
    result.tables["structure"] = pd.DataFrame(rows)
    result.tables["structure_items"] = pd.DataFrame(items)
    assert claims._single_item(result).verdict == verdict


def _answered(**given: float) -> Result:
    """A run with the numbers that its first sentence is made of."""
    result = Result(analysis.name)
    fresh, low, high = (given[key] for key in ("fresh", "low", "high"))
    values = {"fresh": fresh, "chance": 0.25, "majority": 0.25}
    result.add(Finding("puzzles", values, "", interval={"fresh": (low, high)}))
    result.add(Finding("limem", {"fresh": 0.2, "null": 0.2}, ""))
    answer.add(result, "it")
    return result


def test_what_an_interval_covers_is_not_said_to_be_impossible() -> None:
    found = _answered(fresh=0.31, low=0.14, high=0.56).findings["answer"]
    assert "not told apart from guessing" in found.says
    assert "cannot" not in found.says
    assert found.values == {}  # nobody knows what it has read, so there is no such difference
    assert "above chance" in _answered(fresh=0.8, low=0.6, high=0.9).findings["answer"].says
    assert "below chance" in _answered(fresh=0.1, low=0.01, high=0.2).findings["answer"].says


def test_fewer_right_answers_are_not_said_to_be_the_old_ones() -> None:
    result = Result(analysis.name)
    spread = {"original": (0.8, 0.95)}
    values = {"original": 0.9, "changed": 0.4, "chance": 0.25}
    result.add(Finding("items", values, "", interval=spread))
    result.add(Finding("item_variants", {"changed": 0.5}, "", interval={"changed": (0.3, 0.7)}))
    answer.add(result, "it")
    found = result.findings["answer"]
    assert "fewer are right when the answer changes" in found.says
    assert found.unit == "difference of shares"
    assert found.value == 0.5


def test_a_card_says_more_or_fewer_and_not_both() -> None:
    for by, word in ((-0.07, "7 points more"), (0.07, "7 points fewer")):
        result = Result(analysis.name)
        spread = {"paraphrased": (by - 0.1, by + 0.1)}
        result.add(Finding("item_variants", {"paraphrased": by}, "", interval=spread))
        (cell,) = analysis.card(result)
        assert f"In other words {word} items" in cell.says
