"""Commands in this process, in an empty folder.

A small third-party analysis, installed by nothing but its folder on the path, stands in for the
real ones: what works for it works for any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import tiny
from tests.helpers.command_line import Said
from workbench import cli, registry

ANALYSIS = """
import time
from typing import Literal
import pandas as pd
from pydantic import BaseModel, Field
from workbench.result import Finding, Result

name, question = "count-steps", "How many steps are there?"

class Params(BaseModel, frozen=True, extra="forbid"):
    steps: int = Field(3, ge=1, le=1000, description="How many")
    pause: float = Field(0.0, ge=0, description="Seconds per step")
    word: str = Field("one", description="Any text")
    places: list[str] = Field(["a"], description="Some places")
    how: Literal["up", "down"] = Field("up", description="Direction")
    seed: int = Field(0, ge=0, description="Seed")

def run(model, params, progress):
    result = Result(name)
    for step in range(params.steps):
        progress(step / params.steps, f"Step {step + 1}")
        time.sleep(params.pause)
        says = f"There are {step + 1} steps of [red]{params.word}[/red]\\x1b[31m."
        result.add(Finding("steps", step + 1, says))
        result.tables["steps"] = pd.DataFrame({"step": range(step + 1)})
        progress.checkpoint(result)
    return result

def views(result):
    return {}
"""


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A third party's package with one analysis, as pip would lay it out."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "stranger_analysis.py").write_text(ANALYSIS)
    about = folder / "stranger-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[workbench.analyses]\ncount-steps = stranger_analysis\n"
    )
    return folder


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save_tiny(tmp_path_factory.mktemp("tiny") / "tiny-model"))


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stranger: Path) -> Iterator[Path]:
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("WORKBENCH_PASSWORD", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(stranger))
    registry._entry_points.cache_clear()
    registry.get.cache_clear()
    yield tmp_path
    registry._entry_points.cache_clear()
    registry.get.cache_clear()


@pytest.fixture
def workbench(places: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run one command in this process."""

    def call(*arguments: str) -> Said:
        with pytest.raises(SystemExit) as end:
            cli.main([str(a) for a in arguments])
        said = capsys.readouterr()
        return Said(int(end.value.code or 0), said.out, said.err)

    return call
