"""Answers that no stream brings: told from those that are about to be read."""

from __future__ import annotations

import pytest

from ui.playground import stream_recovery


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until it is moved."""
    now = [100.0]
    monkeypatch.setattr(stream_recovery.time, "monotonic", lambda: now[0])
    return now


def test_what_is_read_between_two_looks_is_not_late(clock):
    waiting = stream_recovery.Waiting()
    assert not waiting.late("page", 3)
    clock[0] += 1
    assert not waiting.late("page", 0)
    clock[0] += 1
    assert not waiting.late("page", 1)


def test_what_waits_for_two_looks_is_late_once_and_again_if_it_stays(clock):
    waiting = stream_recovery.Waiting()
    late = []
    for _ in range(5):
        late.append(waiting.late("page", 1))
        clock[0] += 1
    assert late == [False, True, False, True, False]


def test_pages_do_not_wait_for_one_another(clock):
    waiting = stream_recovery.Waiting()
    waiting.late("one", 1)
    clock[0] += 1
    assert not waiting.late("two", 1)
    assert waiting.late("one", 1)
