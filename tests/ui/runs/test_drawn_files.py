"""Drawn tabs on disk: there after a restart, gone with what they were drawn from, and bounded."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.helpers.synthetic import synthetic_result
from tests.helpers.waiting import until
from ui.runs import drawn_files
from ui.runs import render_cache as module
from ui.runs.drawn_files import DrawnFiles, key_of
from ui.runs.render_cache import RenderCache, fingerprint
from ui.runs.static_views import Fragment


@pytest.fixture
def run(tmp_path: Path) -> Path:
    synthetic_result().save(tmp_path / "one")
    return tmp_path / "one"


@pytest.fixture
def files(tmp_path: Path) -> DrawnFiles:
    return DrawnFiles(tmp_path / "drawn")


def nothing_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawing(*_: object) -> Fragment:
        raise AssertionError("this is drawn already")

    monkeypatch.setattr(module, "fragment", drawing)


def test_a_tab_is_there_after_a_restart(
    run: Path, files: DrawnFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = RenderCache(files).fragment(run, "Rates")
    nothing_is_drawn(monkeypatch)
    again = RenderCache(files).fragment(run, "Rates")
    assert json.dumps(asdict(again)) == json.dumps(asdict(first))
    assert len(again.figures()) == len(first.figures()) > 0


def test_another_run_another_place_or_other_sources_are_drawn_anew(
    run: Path, files: DrawnFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = fingerprint(run)
    keys = {
        key_of(str(run), content),
        key_of(str(run), "other"),
        key_of(str(run.parent / "two"), content),
    }
    assert len(keys) == 3
    monkeypatch.setattr(drawn_files, "_sources", lambda: "changed")
    assert key_of(str(run), content) not in keys


def test_the_sources_are_those_of_the_drawing_code_and_of_the_analyses() -> None:
    names = {file.name for file in drawn_files._files_of("workbench")}
    assert {"head_grids.py", "cells.css"} <= names
    assert any("knowledge_conflict" in str(file) for file in drawn_files._files_of("analyses"))
    assert list(drawn_files._files_of("no_such_package")) == []
    assert [file.name for file in drawn_files._files_of("this")] == ["this.py"]


def test_what_failed_is_drawn_again(files: DrawnFiles) -> None:
    files.write("key", "Rates", Fragment("It failed.", [], failed=True))
    assert files.read("key", "Rates") is None


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"html": 1}', b"\xff\xfe", b'{"x": 1}'])
def test_a_damaged_file_costs_a_drawing_only(files: DrawnFiles, damage: bytes) -> None:
    files.write("key", "Rates", Fragment("Here.", []))
    files._file("key", "Rates").write_bytes(damage)
    assert files.read("key", "Rates") is None


def test_a_cache_that_cannot_be_written_costs_time_only(
    run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a-file").write_text("in the way")
    drawings = RenderCache(DrawnFiles(tmp_path / "a-file"))
    assert "wb-figure" in drawings.fragment(run, "Rates").html
    assert "was not kept" in caplog.text


def test_the_runs_used_last_are_kept(files: DrawnFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn_files, "KEPT_RUNS", 2)
    for second, key in enumerate("abac"):
        files.write(key, "Rates", Fragment(key, []))
        os.utime(files._folder / key, (second, second))
    assert files.read("b", "Rates") is None
    assert {key for key in "ac" if files.read(key, "Rates")} == {"a", "c"}


def test_a_run_that_was_drawn_ahead_is_not_drawn_again(
    run: Path, files: DrawnFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawings = RenderCache(files)
    drawings.ahead(run)
    until(lambda: files.is_whole(key_of(str(run), fingerprint(run))), 300)
    drawings.stop()
    nothing_is_drawn(monkeypatch)
    later = RenderCache(files)
    later.ahead(run)
    until(lambda: not later._asked, 60)
    assert later._process is None
    assert "wb-figure" in later.fragment(run, "Rates").html
    later.stop()


def test_no_half_of_a_tab_is_ever_there(files: DrawnFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(json, "dump", dies)
    files.write("key", "Rates", Fragment("Here.", []))
    assert files.read("key", "Rates") is None
