"""The whole analysis on the real default model: held-out proof and random baseline. For
`make verify`, it takes minutes.

The bounds leave room for another machine's rounding; docs/results/knowledge-conflict.md has the
figures as measured.
"""

from __future__ import annotations

import pytest

import workbench as wb

pytestmark = [pytest.mark.model, pytest.mark.verify]


@pytest.fixture(scope="module")
def run(smollm):
    return wb.run("knowledge-conflict", smollm)


def test_what_the_model_knows(run):
    known = run.findings["known"].values
    assert known["candidates"] == 139
    assert 53 <= known["first_token"] <= 57
    assert 44 <= known["value"] <= 50


def test_heads_chosen_on_one_half_decide_on_the_other(run):
    f = {name: finding.values for name, finding in run.findings.items()}
    assert 0.25 < f["base"]["memory"] < 0.55
    assert 0.35 < f["base"]["context"] < 0.65
    assert f["prune_context"]["memory_first_token"] > 0.78
    assert f["prune_context"]["context"] < 0.2
    assert f["prune_memory"]["context"] > 0.85
    assert f["prune_memory"]["memory"] < 0.15


def test_random_heads_do_not(run):
    f = {name: finding.values for name, finding in run.findings.items()}
    assert abs(f["random"]["memory"] - f["base"]["memory"]) < 0.15
    for group in ("memory", "context"):
        assert f[f"random_for_{group}"]["sets"] == 20
        assert f[f"random_for_{group}"]["beaten"] >= 19


def test_the_heads_others_found(run):
    heads = run.tables["heads"].set_index("label")
    assert heads.loc["L23H4", "role"] == "memory"
    assert heads.loc["L23H4", "rank"] == 1
    assert heads.loc["L20H1", "role"] == "context"
    assert heads.loc["L20H1", "rank"] <= 3
    assert heads.loc["L20H1", "zero_context"] > 1.5


def test_the_dial_turns_the_answer(run):
    dial = run.tables["dial"].set_index("value")
    assert dial.loc[-1.0, "memory"] > dial.loc[0.0, "memory"] + 0.2
    assert dial.loc[1.0, "context"] > 0.85
    assert dial.p_context.is_monotonic_increasing or dial.loc[0.75, "p_context"] > 0.6
