"""What is told while a grid works: to who started it, to its folder, on its page."""

from __future__ import annotations

import itertools

import pytest

from workbench.errors import Cancelled
from workbench.grid import status, watch
from workbench.grid.campaign import Campaign
from workbench.grid.plan import PlannedRun
from workbench.grid.watch import WatchedProgress
from workbench.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when they are said to."""
    now = [100.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def campaign(tmp_path):
    made = Campaign(tmp_path / "grid", [PlannedRun("count", "m", {}, {})])
    with made.claimed():
        yield made


def test_the_page_is_written_again_when_there_is_more_and_takes_a_tenth_at_most(clock, campaign):
    pages = []

    def show_page():
        pages.append(clock[0])
        clock[0] += 2.0

    watched = WatchedProgress(Progress(), campaign, show_page)
    for _ in range(60):
        clock[0] += 1.5
        watched(0.5, "working")
        watched.run_ended()
    gaps = [after - before for before, after in itertools.pairwise(pages)]
    assert len(pages) >= 3
    assert min(gaps) >= 20.0
    before = len(pages)
    quiet = WatchedProgress(Progress(), campaign, show_page)
    for _ in range(60):
        clock[0] += 1.5
        quiet(0.5, "working")
    assert len(pages) == before + 1


def test_who_started_it_hears_everything_and_the_folder_now_and_then(clock, campaign):
    heard = []
    watched = WatchedProgress(Progress(heard.append), campaign, lambda: None)
    watched.expect(60.0)
    for n in range(10):
        clock[0] += 0.3
        watched(n / 10, f"{n} done")
    assert [update.says for update in heard] == [f"{n} done" for n in range(10)]
    told = status.read(campaign.folder)
    assert told is not None
    assert 0 < told.fraction < 0.9


def test_it_stops_when_its_folder_is_asked_to(clock, campaign):
    watched = WatchedProgress(Progress(), campaign, lambda: None)
    watched(0.1, "working")
    status.ask_to_stop(campaign.folder)
    clock[0] += 2.0
    watched(0.2, "working")
    with pytest.raises(Cancelled):
        watched(0.3, "working")
    assert status.read(campaign.folder).stopping
