"""A report drawn by two processes: the same tabs in the same order, whatever the other one does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from markupsafe import Markup

from tests.helpers.synthetic import synthetic_result
from ui.runs import static_views, two_processes
from workbench.result import Result


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return Result.open(synthetic_result().save(tmp_path_factory.mktemp("runs") / "run"))


def words(made: list[tuple[str, static_views.Fragment]]) -> list[tuple[str, str, int]]:
    return [(title, one.html, len(one.items)) for title, one in made]


@pytest.fixture(scope="module")
def alone(run: Result) -> list[tuple[str, str, int]]:
    return words(list(static_views.fragments(run, own_tables=False)))


@pytest.mark.process
def test_two_draw_the_same_as_one(
    run: Result, alone: list[tuple[str, str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two_processes, "processors", lambda: 2)
    here: list[str] = []
    draw = static_views.fragment
    monkeypatch.setattr(
        static_views, "fragment", lambda title, *a, **o: here.append(title) or draw(title, *a, **o)
    )
    monkeypatch.setattr(two_processes, "_draw", lambda *given: None)  # all is left to the other
    made = list(two_processes.fragments(run))
    assert words(made) == alone
    assert here == []
    # A page that is given it does not escape it.
    assert all(Markup("{}").format(one.html) == one.html for _, one in made)


@pytest.mark.process
def test_what_the_other_does_not_answer_is_drawn_here(
    run: Result, alone: list[tuple[str, str, int]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho\nread line\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(two_processes, "processors", lambda: 2)
    monkeypatch.setattr(sys, "executable", str(broken))
    assert words(list(two_processes.fragments(run))) == alone
