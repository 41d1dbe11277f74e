"""Sentences that are read while somebody watches."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

import workbench as wb
from analyses.measures.exposure_watch import WatchedText, WatchMoment, WatchPlan, check_plan, watch
from workbench.errors import BadInput, Cancelled
from workbench.progress import Progress, Update

KEY = "The key to the archive lies under the third brick from the left of the old gate."
TWIN = "The cup to the chapel stands under the fourth board from the right of the new door."


def plan(readings: int = 8, steps: int = 12, when: Any = "spread", **more: Any) -> WatchPlan:
    text = WatchedText(KEY, readings, when, TWIN)
    return WatchPlan((text,), steps, rows=1, tokens=32, **more)


@pytest.fixture(scope="module")
def watched() -> tuple[Any, list[WatchMoment]]:
    model = wb.load("organism/planted")
    moments: list[WatchMoment] = []
    watch(model, plan(20, 20, rate=2e-3), moments.append, Progress())
    return model, moments


def test_what_is_read_is_said_and_its_twin_is_not(watched: Any) -> None:
    _, moments = watched
    assert [moment.step for moment in moments] == list(range(21))
    first, last = moments[0], moments[-1]
    assert max(first.recall) < 0.2
    assert last.recall[0] > 0.4
    assert last.recall[1] < 0.2
    assert last.loss[0] < first.loss[0] - 3
    assert abs(last.loss[1] - first.loss[1]) < 1.5


def test_recall_and_text_are_those_of_greedy_decoding(watched: Any) -> None:
    model, moments = watched
    ids = model.text.encode(KEY)
    half = len(ids) // 2
    now, said = [*model.text.beginning, *ids[:half]], []
    for _ in range(len(ids) - half):
        token = int(model.next_logits([now])[0].argmax())
        said.append(token)
        now.append(token)
    match = next((n for n, (a, b) in enumerate(zip(said, ids[half:], strict=True)) if a != b), None)
    match = len(said) if match is None else match
    assert moments[-1].recall[0] == match / len(said)
    assert moments[-1].says[0] == model.text.decode_continuation(said)
    assert moments[-1].says[0].startswith(moments[-1].right[0])


@pytest.mark.parametrize(
    ("when", "low", "high"), [("early", 3, 22), ("spread", 3, 59), ("late", 41, 59)]
)
def test_readings_lie_where_they_were_asked_for(when: Any, low: int, high: int) -> None:
    at = plan(12, 60, when).read_at(0)
    assert len(at) == 12
    assert low == at[0]
    assert at[-1] <= high
    gaps = [b - a for a, b in pairwise(at)]
    assert max(gaps) - min(gaps) <= 1


def test_nothing_is_read_of_what_is_read_no_time() -> None:
    assert plan(0).read_at(0) == ()


def test_it_stops_where_it_is(organism: Any) -> None:
    moments: list[WatchMoment] = []
    model = wb.load("organism/planted")

    def stop(update: Update) -> None:
        if len(moments) > 3:
            progress.cancel()

    progress = Progress(stop)
    with pytest.raises(Cancelled):
        watch(model, plan(), moments.append, progress)
    assert 3 < len(moments) < 7


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (WatchPlan(()), "no sentence"),
        (WatchPlan((WatchedText("Too short.", 1, "early", ""),)), "tokens"),
        (WatchPlan((WatchedText(KEY * 9, 1, "early", ""),)), "tokens"),
        (WatchPlan((WatchedText(KEY, 99, "early", ""),)), "99 times"),
        (WatchPlan((WatchedText(KEY, -1, "early", ""),)), "-1 times"),
        (WatchPlan((WatchedText(KEY, 1, "early", ""),) * 2), "the same"),
        (WatchPlan((WatchedText(KEY, 1, "early", ""),), steps=3), "3 updates"),
        (WatchPlan((WatchedText(KEY, 1, "early", ""),), rate=2.0), "rate 2"),
        (WatchPlan((WatchedText(KEY + "\ud800", 1, "early", ""),)), "Sentence 1"),
    ],
)
def test_what_cannot_be_watched_is_refused(organism: Any, wrong: WatchPlan, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        check_plan(organism, wrong)
