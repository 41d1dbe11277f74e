"""Progress reports, and cancelling from anywhere."""

from __future__ import annotations

import math
import threading

import pytest

from workbench import progress as module
from workbench.errors import Cancelled
from workbench.progress import Progress
from workbench.result import Result


@pytest.fixture
def shown():
    return []


@pytest.fixture
def progress(shown):
    return Progress(shown.append)


def test_reports_arrive_as_given(progress, shown):
    progress(0.25, "Sweeping")
    assert (shown[0].fraction, shown[0].says) == (0.25, "Sweeping")
    assert shown[0].elapsed >= 0


@pytest.mark.parametrize(
    ("given", "shows"), [(-1, 0), (2, 1), (math.nan, 0), (math.inf, 1), (1, 1)]
)
def test_a_fraction_is_always_one(progress, shown, given, shows):
    progress(given)
    progress.subprogress(0.0, 1.0)(given)
    assert [update.fraction for update in shown] == [shows, shows]


def test_time_left_is_extrapolated_once_there_is_enough_to_go_by(monkeypatch, shown):
    clock = iter([100.0, 101.0, 110.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    progress = Progress(shown.append)
    progress(0.01)
    progress(0.25)
    assert shown[0].left is None
    assert shown[1].left == pytest.approx(30)


def test_parts_nest(progress, shown):
    half = progress.subprogress(0.5, 1.0)
    half(0.5)
    half.subprogress(0.5, 1.0)(0.5, "deep")
    assert [update.fraction for update in shown] == [0.75, 0.875]
    assert shown[1].says == "deep"


def test_without_anybody_looking_nothing_is_shown(capfd):
    silent = Progress()
    silent(0.5, "nobody looks")
    assert capfd.readouterr() == ("", "")
    assert not silent.cancelled


def test_cancel_stops_the_job_at_its_next_report_with_what_was_kept(progress, shown):
    part = progress.subprogress(0.0, 0.5).subprogress(0.0, 0.5)
    kept = Result("x")
    part.checkpoint(kept)
    assert progress.kept is part.kept is kept
    other = threading.Thread(target=part.cancel)
    other.start()
    other.join(60)
    assert progress.cancelled
    assert part.cancelled
    for one in (progress, part):
        with pytest.raises(Cancelled) as stop:
            one(0.9)
        assert stop.value.kept is kept
        with pytest.raises(Cancelled):
            one.check()
    assert not shown
