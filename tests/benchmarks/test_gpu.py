"""`python -m benchmarks.gpu`, without a card: its rows run, a row that fails harms no other, and
nothing is invented.
"""

from __future__ import annotations

import copy
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement

import workbench as wb
from benchmarks.gpu import __main__ as command
from benchmarks.gpu import driver, machine, parity, report, rows, speed, timers
from benchmarks.gpu.models import LLAMA, PLANTED, Bench
from tests.helpers import card
from tests.helpers.card import on_card

ROOT = Path(__file__).parents[2]
NEEDED = ("torch", "transformers", "safetensors", "xarray", "pandas", "pyarrow", "numpy", "pytest")
# What only some versions of those bring along, and machines with a card are often without.
SOMETIMES = {"pydantic", "pydantic-core", "typer", "rich"}
BLOCKER = """
import sys

BLOCKED = {blocked!r}


class _Only:
    def __init__(self, finder):
        self._finder = finder

    def __getattr__(self, name):
        return getattr(self._finder, name)

    def find_spec(self, name, path=None, target=None):
        blocked = name.partition(".")[0] in BLOCKED
        return None if blocked else self._finder.find_spec(name, path, target)


sys.meta_path[:] = [_Only(finder) for finder in sys.meta_path]
"""


def _plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def needed_packages():
    """The packages the script may stand on, and what they themselves require, by name."""
    found, left = set(), list(NEEDED)
    while left:
        name = _plain(left.pop())
        if name in found:
            continue
        found.add(name)
        try:
            required = [Requirement(line) for line in importlib.metadata.requires(name) or ()]
        except importlib.metadata.PackageNotFoundError:
            continue  # of another system
        left += [r.name for r in required if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found - SOMETIMES


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """An environment for a process in which nothing else can be imported."""
    there, folder = needed_packages(), tmp_path_factory.mktemp("bare")
    tops = importlib.metadata.packages_distributions()
    blocked = {
        top
        for top, of in tops.items()
        if not {_plain(name) for name in of} & (there | {"memory-workbench"})
    }
    assert {
        "accelerate",
        "captum",
        "param",
        "platformdirs",
        "pydantic",
        "scipy",
        "nnsight",
        "transformer_lens",
    } <= blocked
    (folder / "sitecustomize.py").write_text(BLOCKER.format(blocked=blocked), encoding="utf-8")
    kept = {
        key: value for key, value in os.environ.items() if key not in ("WORKBENCH_CACHE", "OUT")
    }
    return kept | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "HF_HUB_OFFLINE": "1"}


@pytest.mark.verify
@pytest.mark.process
def test_it_runs_where_only_what_it_needs_is_installed(bare, tmp_path):
    without = subprocess.run(
        [sys.executable, "-c", "import accelerate"],
        env=bare,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No module named 'accelerate'" in without.stderr
    docs = {file.name: file.read_bytes() for file in command.DOCS.glob("benchmarks-gpu.*")}
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.gpu",
            "--tiny",
            "--device",
            "cpu",
            "--only",
            "organism/planted · float32",
            "--out",
            str(tmp_path / "out"),
        ],
        env=bare | {"OUT": str(tmp_path / "back")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads((tmp_path / "out" / "benchmarks-gpu.json").read_text(encoding="utf-8"))
    check_schema(found)
    asked = [row for row in rows.rows() if "organism/planted · float32" in row.name]
    assert [record["row"] for record in found["rows"]] == [row.name for row in asked]
    assert {record["status"] for record in found["rows"]} == {rows.PASSED, rows.MEASURED}
    assert found["tiny"]
    assert found["machine"]["card"] is None
    assert (tmp_path / "back" / "benchmarks-gpu.md").read_text() == report.page(found)
    assert docs == {file.name: file.read_bytes() for file in command.DOCS.glob("benchmarks-gpu.*")}
    assert not list((tmp_path / "out").glob(".*"))


def check_schema(found):
    """What a reader of the JSON file may rely on."""
    assert found["format"] == report.FORMAT
    assert set(found) == {"format", "tiny", "seconds", "machine", "rows"}
    for record in found["rows"]:
        assert {"row", "kind", "job", "model", "dtype", "status", "why", "lines", "seconds"} <= set(
            record
        )
        assert record["status"] in (rows.PASSED, rows.FAILED, rows.MEASURED, rows.NOT_MEASURED)
        assert (
            bool(record["lines"]) == (record["status"] in (rows.PASSED, rows.MEASURED))
            or record["status"] == rows.FAILED
        )
        for line in record["lines"]:
            assert line["what"]
            if record["kind"] == "parity":
                assert {"difference", "limit", "scale", "holds"} <= set(line)
            else:
                assert line["median_s"] > 0
                assert line["runs"] >= 1


def test_what_is_committed_was_measured_on_a_card_or_not_at_all():
    found = json.loads((command.DOCS / "benchmarks-gpu.json").read_text(encoding="utf-8"))
    check_schema(found)
    assert found == report.nothing() or (found["machine"]["device"] == "cuda" and not found["tiny"])
    assert (command.DOCS / "benchmarks-gpu.md").read_text(encoding="utf-8") == report.page(found)


def test_only_a_card_is_written_into_docs(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("OUT", raising=False)
    cpu, gpu = torch.device("cpu"), torch.device("cuda:0")
    assert command._folders(None, gpu, tiny=False) == [command.DOCS]
    assert command._folders(None, gpu, tiny=True) == command._folders(None, cpu, tiny=False) == []
    assert command._folders(tmp_path, gpu, tiny=False) == [tmp_path]
    monkeypatch.setenv("OUT", str(tmp_path))
    assert command._folders(None, cpu, tiny=True) == [tmp_path]
    monkeypatch.setattr(sys, "argv", ["benchmarks.gpu"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert command.main() == 2
    assert "--tiny --device cpu" in capsys.readouterr().err


# -- the rows on the stand-in for a card -----------------------------------------------------------


class CardBench(Bench):
    """As on a machine with a card: the models compute on the stand-in."""

    def model(self, name, dtype):
        key = name, dtype, "stand-in"
        if key not in self._made:
            module = copy.deepcopy(self.reference(name, dtype).module).to(getattr(torch, dtype))
            self._made[key] = wb.load((on_card(module), self.tokenizer))
        return self._made[key]


@pytest.fixture(scope="module")
def bench():
    return CardBench(torch.device("cpu"), tiny=True)


# tests/hooks/test_card.py has the same places on a card; here every row of the script is run.
@pytest.mark.verify
@pytest.mark.parametrize("job", [job for job in parity.JOBS if job != "loading"])
def test_every_comparison_runs_on_a_card_and_holds(bench, job):
    with card.card():
        for dtype in ("float32", "bfloat16"):
            record = rows.run(rows.Row("parity", job, LLAMA, dtype, 60), bench, 300)
            assert record["status"] == rows.PASSED, record


@pytest.mark.verify
@pytest.mark.parametrize("job", [job for job in timers.TIMERS if not job.startswith("beside")])
def test_everything_that_is_timed_runs_on_a_card(bench, job):
    with card.card():
        record = rows.run(rows.Row("time", job, LLAMA, "bfloat16", 60), bench, 300)
        assert record["status"] == rows.MEASURED, record
    assert all(line["median_s"] > 0 and line["ratio"] > 0 for line in record["lines"])


def test_a_loop_of_forward_passes_agrees_with_the_sweep(bench):
    lines = speed.heads_all(Bench(torch.device("cpu"), tiny=True), LLAMA, "float32", 0.1)
    assert next(line for line in lines if "apart" in line)["apart"] < 1e-5


def test_the_rows_are_in_order_of_worth_and_differ():
    names = [row.name for row in rows.rows()]
    assert len(set(names)) == len(names)
    assert [row.kind for row in rows.rows()][:2] == ["limits", "parity"]
    assert names.index("time · capture · Llama 1 B, random · bfloat16") < names.index(
        "time · capture · organism/planted · float32"
    )


def test_the_machine_says_what_it_can_do():
    lines = machine.limits(torch.device("cpu"), True, 0.05)
    assert [line["rate_unit"] for line in lines] == ["TFLOP/s", "TFLOP/s", "GB/s", "GB/s"]
    assert all(line["rate"] > 0 for line in lines)
    about = machine.describe(torch.device("cpu"))
    assert about["tf32"].startswith("off")
    assert about["versions"]["torch"] == torch.__version__


# -- what goes wrong -------------------------------------------------------------------------------


def test_a_card_that_computes_something_else_is_found(bench, monkeypatch):
    """One weight of one layer is off by a hundredth: every kind of comparison sees it."""
    wrong = copy.deepcopy(bench.reference(LLAMA, "float32").module)
    with torch.no_grad():
        wrong.model.layers[1].self_attn.v_proj.weight.mul_(1.01)
    broken = wb.load((wrong, bench.tokenizer))
    monkeypatch.setattr(bench, "model", lambda name, dtype: broken)
    for job in ("logits", "capture", "interventions", "sweeps", "gradients", "extraction"):
        record = rows.run(rows.Row("parity", job, LLAMA, "float32", 60), bench, 300)
        assert record["status"] == rows.FAILED, job
        assert re.search(r"where the CPU has .* apart by .* at most .* allowed", record["why"])


def test_values_are_compared_by_what_they_are_made_of():
    def line(expected, actual, **about):
        return parity._line(parity.Values("x", np.array(expected), **about), np.array(actual), 0.1)

    assert line([1.0, -2.0], [1.0, -2.1])["holds"]
    far = line([1.0, -2.0], [1.0, -2.5])
    assert (far["holds"], far["expected"], far["actual"], far["difference"]) == (
        False,
        -2.0,
        -2.5,
        0.25,
    )
    assert line([1.0, -2.0], [1.0, -2.5], scale=10.0)["holds"]
    masked = [1.0, np.nan, -np.inf, -3.4e38]
    assert line(masked, masked)["holds"]
    assert "finite on one side" in line([1.0, np.nan], [1.0, 0.0])["why"]
    assert "finite on one side" in line([1.0, 2.0], [1.0, np.nan])["why"]
    assert "no value is finite" in line([np.nan], [np.nan])["why"]
    assert "shape" in line([1.0, 2.0], [1.0])["why"]


def test_limits_follow_from_the_dtype():
    assert parity.limit("float32", 16, 8192) == pytest.approx(2 * 2**-24 * (8192 * 7 * 16) ** 0.5)
    assert parity.limit("float32", 2, 64) == 1e-4
    assert parity.limit("bfloat16", 16, 8192) == pytest.approx(2 * 2**-8 * 160**0.5)


def test_a_row_that_crashes_says_where_and_the_next_one_runs(bench, monkeypatch):
    def crash(*_):
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore words")

    monkeypatch.setitem(timers.TIMERS, "capture", crash)
    record = rows.run(rows.Row("time", "capture", LLAMA, "float32", 5), bench, 60)
    assert record["status"] == rows.FAILED
    assert record["why"].startswith(
        "RuntimeError: CUDA error: an illegal memory access was encountered (test_gpu.py:"
    )
    assert "more words" in record["traceback"]
    with card.card():
        assert (
            rows.run(rows.Row("time", "forward pass", LLAMA, "float32", 5), bench, 60)["status"]
            == rows.MEASURED
        )


def test_a_row_without_end_is_stopped(bench, monkeypatch):
    monkeypatch.setitem(timers.TIMERS, "capture", lambda *_: time.sleep(30))
    record = rows.run(rows.Row("time", "capture", LLAMA, "float32", 5), bench, 0.1)
    assert (record["status"], record["lines"]) == (rows.NOT_MEASURED, [])
    assert "stopped" in record["why"]


def test_a_tool_that_is_not_there_is_said_so(bench, monkeypatch):
    monkeypatch.setattr(timers, "find_spec", lambda name: None)
    record = rows.run(rows.Row("time", "beside nnsight", LLAMA, "float32", 5), bench, 60)
    assert (record["status"], record["why"]) == (rows.NOT_MEASURED, "nnsight is not installed.")


def test_a_process_that_dies_is_started_again_behind_its_row(monkeypatch, tmp_path):
    """The first dies in row 2, the second in row 3 and can go on no more; what is left is
    listed, not invented.
    """
    names = [row.name for row in rows.rows()]
    done = {"status": rows.MEASURED, "why": "", "lines": [], "seconds": 1.0}
    calls = []

    def process(log, options, left):
        calls.append(left)
        if len(calls) == 1:
            driver._write(log, {"row": "machine", "about": {"card": "a card"}})
            driver._write(log, {"row": names[0]})
            driver._write(log, {"row": names[0], **done})
            driver._write(log, {"row": names[1]})
            return -11, "Segmentation fault"
        if len(calls) == 2:
            driver._write(log, {"row": names[2]})
            return None, ""
        raise AssertionError

    monkeypatch.setattr(driver, "_process", process)
    records = driver.drive(tmp_path, [], 60)
    assert [record["row"] for record in records] == names
    assert records[0]["status"] == rows.MEASURED
    assert records[1]["why"] == "Its process died (exit code -11): Segmentation fault"
    assert records[2]["status"] == rows.FAILED
    assert {record["status"] for record in records[3:]} == {rows.NOT_MEASURED}
    assert driver.machine_of(tmp_path) == {"card": "a card"}
    page = report.page(
        report.result(
            driver.machine_of(tmp_path) | {"card_memory_gb": 1, "cuda": "13.0"}, records, False, 60
        )
    )
    assert f"- {names[1]}: Its process died (exit code -11): Segmentation fault" in page
    assert f"- {names[-1]}: Not reached in 60 s." in page


def test_a_process_that_cannot_begin_is_not_started_for_ever(monkeypatch, tmp_path):
    monkeypatch.setattr(
        driver, "_process", lambda log, options, left: (1, "ImportError: no such thing")
    )
    records = driver.drive(tmp_path, [], 60)
    assert records[-1]["status"] == rows.FAILED
    assert records[-1]["why"] == "ImportError: no such thing"
    assert "no such thing" in report.page(report.result({}, records, False, 1))


def test_nothing_half_is_written(monkeypatch, tmp_path):
    report.write(tmp_path, report.nothing())
    before = (tmp_path / "benchmarks-gpu.json").read_bytes()

    def full(*_):
        raise OSError("no room")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no room"):
        report.write(tmp_path, report.nothing() | {"seconds": 5})
    assert (tmp_path / "benchmarks-gpu.json").read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "benchmarks-gpu.json",
        "benchmarks-gpu.md",
    ]


def test_the_organisms_windows_are_what_it_has_read(bench):
    few = speed.windows(bench, PLANTED, 3)
    assert all(len(w.prompt) == len(w.suffix) == 50 for w in few)
