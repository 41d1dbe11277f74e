"""Tabs that are drawn already: kept by content, bounded, and drawn ahead by a process of their
own.
"""

from __future__ import annotations

import io
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.synthetic import synthetic_result
from tests.helpers.waiting import until
from ui.runs import render_cache as module
from ui.runs.render_cache import RenderCache, answer, fingerprint
from ui.runs.static_views import Fragment
from workbench.errors import BadRun, NotFound


@pytest.fixture
def run(tmp_path: Path) -> Path:
    synthetic_result().save(tmp_path / "one")
    return tmp_path / "one"


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Titles in the order they are drawn in this process."""
    titles: list[str] = []

    def drawing(title: str, view: Any) -> Fragment:
        titles.append(title)
        return Fragment(f"{title} {len(titles)}", [])

    monkeypatch.setattr(module, "fragment", drawing)
    return titles


def test_drawn_once_until_the_run_changes(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles = counted(monkeypatch)
    drawings = RenderCache()
    first = drawings.fragment(run, "Depth")
    assert drawings.fragment(run, "Depth") is first
    assert titles == ["Depth"]
    before = fingerprint(run)
    table = run / "tables" / "heads.parquet"
    os.utime(table, ns=(1, 1))
    assert fingerprint(run) != before
    assert drawings.fragment(run, "Depth") is not first


def test_many_askers_at_once_draw_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles = counted(monkeypatch)
    drawings = RenderCache()
    askers = [threading.Thread(target=drawings.fragment, args=(run, "Rates")) for _ in range(4)]
    for one in askers:
        one.start()
    for one in askers:
        one.join()
    assert titles == ["Rates"]


def test_the_runs_looked_at_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles = counted(monkeypatch)
    monkeypatch.setattr(module, "KEPT_RUNS", 2)
    for name in "abc":
        synthetic_result().save(tmp_path / name)
    drawings = RenderCache()
    for name in "abac":
        drawings.fragment(tmp_path / name, "Cost")
    assert len(titles) == 3
    drawings.fragment(tmp_path / "a", "Cost")
    assert len(titles) == 3
    drawings.fragment(tmp_path / "b", "Cost")
    assert len(titles) == 4


def test_what_is_not_there_is_said(run: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="view"):
        RenderCache().fragment(run, "Nothing like it")
    with pytest.raises(BadRun):
        RenderCache().fragment(tmp_path / "nowhere", "Rates")
    assert fingerprint(tmp_path / "nowhere") == ""


def test_the_process_answers_a_line_for_every_tab_and_goes_on_after_a_broken_run(
    run: Path, tmp_path: Path
) -> None:
    out = io.StringIO()
    answer([json.dumps(str(tmp_path / "nowhere")), json.dumps(str(run))], out)
    lines = out.getvalue().split("\n")
    assert lines[0] == ""
    tabs = dict(json.loads(line) for line in lines[1:-2])
    assert "Rates" in tabs
    assert len(Fragment(**tabs["Heads"]).figures()) == 4


def test_drawn_ahead_is_there_without_drawing(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles = counted(monkeypatch)
    drawings = RenderCache()
    arrived = threading.Event()
    keep = drawings._keep

    def keeping(key: Any, title: str, made: Fragment) -> None:
        keep(key, title, made)
        if title == "Transfer":
            arrived.set()

    monkeypatch.setattr(drawings, "_keep", keeping)
    drawings.ahead(run)
    assert arrived.wait(600)
    assert "wb-figure" in drawings.fragment(run, "Rates").html
    assert titles == []
    drawings.stop()


def test_stopping_ends_the_process(run: Path) -> None:
    drawings = RenderCache()
    drawings.ahead(run)
    process = until(lambda: drawings._process)
    drawings.stop()
    assert process.wait(300) != 0
    drawings.ahead(run)
    assert drawings._next(wait=False) is None
