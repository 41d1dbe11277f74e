"""The report: one file, nothing from elsewhere, nothing executed, written whole or not at all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.helpers.synthetic import synthetic_result
from ui import report
from workbench.errors import WorkbenchError


@pytest.fixture(scope="module")
def text() -> str:
    return report.html(synthetic_result())


def test_it_says_what_was_asked_found_and_how_to_run_it_again(text: str) -> None:
    for words in (
        "which attention heads decide?",
        "With 5 context heads off",
        "88 %",
        "73–100 %",
        "toy-6l",
        "workbench run knowledge-conflict",
    ):
        assert words in text
    assert "wb.run(" in text


def test_it_asks_nothing_of_the_network(text: str) -> None:
    assert not re.search(
        r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""",
        re.sub(r"<script>.*?</script>", "", text, flags=re.S),
    )
    assert "<link" not in text
    assert len(text.encode()) < 5e6


def test_hostile_text_is_text() -> None:
    text = report.html(synthetic_result(hostile=True))
    assert "<script>window.pwned" not in text
    assert "<img src=x" not in text
    pictures = re.search(r'id="pictures">(.*?)</script>', text, re.S)
    assert pictures
    assert json.loads(pictures[1])


def test_an_analysis_that_is_not_installed_leaves_findings_and_tables() -> None:
    result = synthetic_result()
    result.analysis = "not-installed"
    text = report.html(result)
    assert "cannot be drawn here" in text
    assert "88 %" in text
    assert "random sets" in text


def test_written_whole_or_not_at_all(tmp_path: Path) -> None:
    result = synthetic_result()
    file = report.write(result, tmp_path / "r.html")
    assert file.stat().st_size > 1e5
    with pytest.raises(WorkbenchError, match="exists already"):
        report.write(result, file)
    report.write(result, file, force=True)
    assert [f.name for f in tmp_path.iterdir()] == ["r.html"]
    with pytest.raises(WorkbenchError, match="could not be written"):
        report.write(result, file / "below" / "x.html")
