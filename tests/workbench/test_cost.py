"""Tokens to seconds, shares of a progress bar, and what a run folder says of both."""

from __future__ import annotations

import gc
from types import SimpleNamespace

import numpy as np
import pytest

import workbench as wb
from workbench import account, cost, registry
from workbench.cost import Cost, Speed
from workbench.peak_memory import PeakMemory
from workbench.progress import Progress
from workbench.result import Provenance, Result

MODEL = SimpleNamespace(speed=Speed(forward=0.5, passes=10.0, backward=2.0))


def test_costs_add_and_repeat_but_memory_is_held_one_after_the_other():
    a, b = Cost(1, 2, 3, bytes=10), Cost(forward=4, bytes=30)
    assert a + b == Cost(5, 2, 3, bytes=30)
    assert a * 3 == Cost(3, 6, 9, bytes=10)
    assert cost.total([]) == Cost()
    assert MODEL.speed.seconds(a) == 0.5 + 20 + 6


def test_stages_are_as_wide_as_they_take():
    seen = []
    progress = Progress(lambda update: seen.append(update.fraction))
    stage = cost.stages(
        progress, MODEL, {"read": Cost(forward=20), "nothing": Cost(), "back": Cost(backward=15)}
    )
    for name in ("read", "nothing", "back"):
        stage[name](0.0)
        stage[name](1.0)
    assert seen == pytest.approx([0, 0.25, 0.25, 0.25, 0.25, 1])


def test_stages_of_no_cost_do_not_divide_by_nothing():
    seen = []
    progress = Progress(lambda update: seen.append(update.fraction))
    cost.stages(progress, MODEL, {"a": Cost()})["a"](1.0)
    assert seen
    assert all(0 <= fraction <= 1 for fraction in seen)


def test_only_the_stages_of_the_parts_that_run():
    costs = {"a": {"x": Cost(1)}, "b": {"y": Cost(2)}}
    assert cost.of_parts(costs, {"b"}) == {"y": Cost(2)}


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (0, "a few seconds"),
        (12, "about 10 s"),
        (170, "about 3 min"),
        (3 * 3600, "about 3 h"),
    ],
)
def test_an_estimate_in_words(seconds, says):
    assert cost.in_words(seconds) == says


def test_what_costs_nothing_is_not_measured():
    class Unmeasured:
        @property
        def speed(self):
            raise AssertionError("measured")

    assert cost.Estimate.of(Unmeasured(), Cost()).seconds == 0


def test_the_time_left_is_the_estimate_until_the_pace_tells():
    seen = []
    progress = Progress(seen.append)
    progress.expect(100.0)
    progress(0.0)
    progress(0.5)
    assert seen[0].left == pytest.approx(100, abs=1)
    assert seen[1].left < 1


@pytest.mark.parametrize(
    "stranger",
    [
        {"left_out": "all"},
        {"left_out": [1, {"title": "no name"}, {"name": 3}]},
        {"seconds": "long", "peak_bytes": -1},
        {"seconds": float("inf"), "peak_bytes": True},
    ],
)
def test_a_strangers_account_is_only_data(stranger):
    result = Result("x", provenance=Provenance(cost=stranger))
    assert account.left_out(result) == []
    assert account.estimated(result) is None
    assert account.peak_bytes(result) is None


def test_a_left_out_part_says_what_it_takes_and_why():
    rows = [
        {"name": "a", "title": "Part A", "seconds": 180.0},
        {"name": "b", "title": "Part B", "seconds": None, "reason": "needs reference"},
    ]
    result = Result("extraction", provenance=Provenance(cost={"left_out": rows, "seconds": 5.0}))
    says = [part.says for part in account.left_out(result)]
    assert says == ["Part A (about 3 min more)", "Part B (needs reference)"]
    assert account.estimated(result) == 5.0


def test_peak_memory_sees_what_was_held_in_between():
    gc.collect()  # what other tests left is not given back while this one measures
    memory = PeakMemory("cpu")
    if memory.taken() is None:
        pytest.skip("this system does not tell")
    held = np.ones(300 * 2**20 // 8)
    del held
    assert memory.taken() >= 200 * 2**20


def test_a_model_that_cannot_answer_costs_nothing():
    analysis = registry.get("knowledge-conflict")
    model = wb.load("organism/recall-mamba-8")  # no attention heads to switch off
    assert analysis.unavailable_reason(model)
    assert analysis.cost(model, analysis.parse({})) == {}
