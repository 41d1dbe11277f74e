"""The notebooks of `examples/` run as they stand, and what they were saved with is small.

Here their cells run in this process, which spares six starts of a kernel; `make verify-notebook`
runs them by themselves in a fresh environment from the wheel.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import matplotlib
import pytest

import workbench as wb

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
LIMIT = 300_000

# What each must come to, in words that it prints.
PRINTS = {
    "1-first-look": "48\u00a0% from the context",
    "2-knowledge-conflict": "L23H4 adds",
    "3-can-it-recite-my-documents": "planted.txt: reproduces whole passages",
    "4-hooks-for-transformerlens-users": "('prompt', 'layer', 'pos', 'd_model')",
    "5-write-your-own-analysis": "of 270 heads",
    "6-compare-two-models": "organism/planted-control 0",
}


def cells(file: Path) -> list[dict[str, Any]]:
    book = json.loads(file.read_text(encoding="utf-8"))
    return [cell for cell in book["cells"] if cell["cell_type"] == "code"]


def test_there_are_six():
    assert [file.stem for file in NOTEBOOKS] == list(PRINTS)


# Half a minute each; what they call has tests of its own.
LONG = {"4-hooks-for-transformerlens-users", "6-compare-two-models"}


@pytest.mark.model
@pytest.mark.parametrize(
    "file",
    [
        pytest.param(file, marks=[pytest.mark.verify] if file.stem in LONG else [])
        for file in NOTEBOOKS
    ],
    ids=lambda file: file.stem,
)
def test_a_notebook_runs(file, smollm, tmp_path, monkeypatch, capsys):
    load = wb.load
    monkeypatch.setattr(wb, "load", lambda *ref: load(*ref) if ref else smollm, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(matplotlib.rcParams, "backend", "agg")
    shared: dict[str, object] = {}
    for cell in cells(file):
        exec(compile("".join(cell["source"]), file.name, "exec"), shared)
    matplotlib.pyplot.close("all")
    assert PRINTS[file.stem] in capsys.readouterr().out


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_was_saved_with_small_pictures_and_no_mistake(file):
    outputs = [output for cell in cells(file) for output in cell["outputs"]]
    assert all(cell["execution_count"] for cell in cells(file))
    pictures = [output["data"]["image/png"] for output in outputs if "data" in output]
    assert pictures
    assert all(len(base64.b64decode(picture)) < LIMIT for picture in pictures)
    printed = "".join("".join(one["text"]) for one in outputs if one["output_type"] == "stream")
    assert PRINTS[file.stem] in printed
    assert not [one for one in outputs if one["output_type"] == "error"]
    assert not [one for one in outputs if one.get("name") == "stderr"]
    assert "/tmp" not in file.read_text(encoding="utf-8")
