"""The page of the lab is run as it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import workbench as wb
from tests.helpers import tiny
from workbench.lab.schedule import Schedule
from workbench.lab.series import train_schedule
from workbench.progress import Progress

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "lab.md"


def test_the_pages_schedule_is_one(tmp_path: Path) -> None:
    (given,) = re.findall(r"```json\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    base = tiny.save_tiny(tmp_path / "base")
    schedule = Schedule.model_validate(json.loads(given))
    out = train_schedule(str(base), schedule, tmp_path / "trained", Progress(), "cpu")
    assert (out / "checkpoint-60").is_dir()
    wb.load(str(out / "checkpoint-60"))


def test_the_pages_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    shared: dict[str, object] = {}
    exec(compile(first, "lab.md", "exec"), shared)
    losses = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert losses[-1] < losses[0]
    assert len(shared["said"]) == 9 + 5  # type: ignore[arg-type]
    exec(compile(second, "lab.md", "exec"), shared)
    margins = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert margins[0] == 0
    assert margins[-1] > 0
