"""What a card says of a run: when, how long, and its answer."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from ui.runs import cards
from workbench.runs import RunEntry

NOW = dt.datetime(2026, 3, 10, 0, 30).astimezone()


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (0, ""),
        (None, ""),
        (3.21, "3.2 s"),
        (59, "59 s"),
        (60, "1 min"),
        (75.4, "1 min 15 s"),
        (7260, "2 h 1 min"),
    ],
)
def test_durations(seconds: float | None, says: str) -> None:
    assert cards.duration(seconds) == says


@pytest.mark.parametrize(
    ("day", "hour", "says"),
    [
        (10, 0, "today, 00:05"),
        (9, 23, "yesterday, 23:05"),
        (8, 23, "8 Mar 2026, 23:05"),
        (11, 1, "11 Mar 2026, 01:05"),  # another machine's clock
    ],
)
def test_times_as_people_say_them(day: int, hour: int, says: str) -> None:
    started = dt.datetime(2026, 3, day, hour, 5).astimezone().astimezone(dt.UTC).isoformat()
    assert cards.when(started, NOW) == says
    assert "March 2026" in cards.exactly(started)


@pytest.mark.parametrize("odd", ["", "yesterday", "0001-01-01T00:00:00+00:00"])
def test_what_is_no_time_stays_as_it_is(odd: str) -> None:
    assert odd in (cards.when(odd), "0001-01-01T00:00:00+00:00")
    assert isinstance(cards.exactly(odd), str)


def test_the_answer_is_the_first_sentence_of_what_the_analysis_leads_with() -> None:
    says = {"known": "It knows 9.", "base": "It follows the context. " + "And more of it. " * 40}
    entry = RunEntry("a/b", Path("a"), analysis="knowledge-conflict", says=says)
    card = cards.run_card(entry, NOW)
    assert card.answer.startswith("It follows the context.")
    assert len(card.answer) < 120
    assert card.picture == "runs/a%2Fb/picture.png"
    assert cards.run_card(RunEntry("x", Path("x"))).answer == ""
