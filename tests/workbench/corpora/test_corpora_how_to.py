"""The page of corpora runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import workbench as wb
from tests.helpers import tiny

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "corpora.md"


def test_the_page_of_corpora_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.save_tiny(tmp_path / "tiny")
    load = wb.load
    monkeypatch.setattr(wb, "load", lambda ref: load("./tiny"), raising=False)
    shared: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S):
        exec(compile(block, "corpora.md", "exec"), shared)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "3"
    assert said[1].startswith("genesis.txt, line 1|In the |beginning| God created the h")
    assert any(line.startswith("God created the ") for line in said)
    assert any(line.startswith(" the gospel of ") for line in said)
    assert shared["spans"]
