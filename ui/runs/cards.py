"""What a card says of a finished run, on Home and in the gallery."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from ui.runs.answer import sentences
from ui.runs.provenance import first_sentence
from workbench.runs import RunEntry


@dataclass(frozen=True)
class RunCard:
    """Args:
    when: "yesterday, 20:11"; `exact` has the day and the seconds.
    answer: the first sentence of what the run found.
    picture, explore, report: addresses, seen from Home.
    """

    entry: RunEntry
    when: str
    exact: str
    took: str
    answer: str
    picture: str
    explore: str
    report: str


def run_card(entry: RunEntry, now: dt.datetime | None = None) -> RunCard:
    """Args:
    now: with a time zone; None is the present.
    """
    says = sentences(entry.analysis, entry.says)
    address = f"runs/{quote(entry.id, safe='')}"
    return RunCard(
        entry=entry,
        when=when(entry.started, now),
        exact=exactly(entry.started),
        took=duration(entry.duration),
        answer=first_sentence(says[0])[0] if says else "",
        picture=f"{address}/picture.png",
        explore="explorer?" + urlencode({"run": entry.id}),
        report=f"{address}/report.html",
    )


def when(started: str, now: dt.datetime | None = None) -> str:
    """An ISO time as people say it, in this machine's time zone; what is no time stays as it is."""
    moment = _moment(started)
    if moment is None:
        return started
    days = ((now or dt.datetime.now().astimezone()).date() - moment.date()).days
    clock = moment.strftime("%H:%M")
    if days in (0, 1):
        return f"{'yesterday' if days else 'today'}, {clock}"
    return f"{moment.strftime('%-d %b %Y')}, {clock}"


def exactly(started: str) -> str:
    """The same to the second, with the day of the week and the time zone."""
    moment = _moment(started)
    return moment.strftime("%A, %-d %B %Y, %H:%M:%S %Z") if moment is not None else started


def _moment(started: str) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(started).astimezone()
    except (ValueError, OverflowError):  # no time, or one that this zone has no day for
        return None


def duration(seconds: float | None) -> str:
    """75 -> "1 min 15 s"; "" for nothing."""
    if not seconds:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
