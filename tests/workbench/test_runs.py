"""Running an analysis, and finding finished runs again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import BaseModel, Field

from workbench import registry, run_labels, runs
from workbench.errors import BadInput, BadRun, Cancelled, NotFound, Unfit, WorkbenchError
from workbench.progress import Progress
from workbench.registry import Analysis
from workbench.result import Finding, Provenance, Result


@dataclass
class Card:
    name: str = "tiny"


class Params(BaseModel, frozen=True, extra="forbid"):
    size: int = Field(3, ge=1, description="How many")
    seed: int = Field(0, description="Makes it repeatable")


class Unseeded(BaseModel):
    size: int = 1


MODEL = SimpleNamespace(card=Card())


@pytest.fixture
def analysis(monkeypatch):
    """Register a made-up analysis: analysis(run=…, unavailable_reason=…)."""

    def add(run, unavailable_reason=lambda model: None, params=Params):
        module = SimpleNamespace(run=run, unavailable_reason=unavailable_reason, views=dict)
        one = Analysis("made-up", "Does it work?", params, module, "a-package")
        monkeypatch.setattr(registry, "get", lambda name: one)

    return add


def draws(model, params, progress):
    import torch

    found = Result("whatever it says")
    found.add(Finding("drawn", float(torch.rand(1)), "A random number."))
    return found


def saved(root, name, started="2026-01-01T00:00:00+00:00", **more):
    return Result(
        "made-up", provenance=Provenance(model={"name": "tiny"}, started=started), **more
    ).save(root / name)


def test_a_run_is_stamped_with_what_makes_it_again(analysis, tmp_path):
    analysis(draws)
    result = runs.run("made-up", MODEL, {"size": "5"}, seed=7, out=tmp_path / "run")
    assert (result.analysis, result.question) == ("made-up", "Does it work?")
    assert result.params == {"size": 5, "seed": 7}
    about = result.provenance
    assert (about.model, about.seed) == ({"name": "tiny"}, 7)
    assert {"python", "torch", "memory-workbench"} <= set(about.versions)
    assert about.duration >= 0
    assert about.started.endswith("+00:00")
    back = Result.open(tmp_path / "run")
    assert back.provenance == about
    assert back.findings == result.findings


def test_the_seed_decides(analysis):
    analysis(draws)
    drawn = [runs.run("made-up", MODEL, seed=seed).findings["drawn"].value for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_an_analysis_without_a_seed_is_seeded_all_the_same(analysis):
    analysis(draws, params=Unseeded)
    assert runs.run("made-up", MODEL, seed=5).provenance.seed == 5
    assert runs.run("made-up", MODEL).provenance.seed == 0
    assert runs.run("made-up", MODEL, Unseeded(size=2)).params == {"size": 2}


def test_bad_parameters_and_unfit_models_stop_it_before_it_starts(analysis):
    analysis(pytest.fail, unavailable_reason=lambda model: "it has no attention")
    with pytest.raises(BadInput, match="size"):
        runs.run("made-up", MODEL, {"size": 0})
    with pytest.raises(NotFound, match="Did you mean 'size'"):
        runs.run("made-up", MODEL, {"sise": 1})
    with pytest.raises(Unfit, match="tiny cannot answer 'made-up': it has no attention"):
        runs.run("made-up", MODEL)


def test_what_is_no_result_is_said_to_be_none(analysis):
    analysis(lambda model, params, progress: {"drawn": 3})
    with pytest.raises(WorkbenchError, match="'a-package' gave a dict"):
        runs.run("made-up", MODEL)


def test_a_cancelled_run_hands_over_what_it_kept_stamped_and_marked(analysis, tmp_path):
    def stops(model, params, progress):
        progress.checkpoint(Result("half"))
        progress.cancel()
        progress(0.5, "on")

    analysis(stops)
    for progress in (None, Progress(), Progress().subprogress(0.2, 0.4)):
        with pytest.raises(Cancelled) as stop:
            runs.run("made-up", MODEL, progress=progress)
        kept = stop.value.kept
        assert kept.partial
        assert kept.analysis == "made-up"
        assert kept.provenance.model == {"name": "tiny"}
    assert Result.open(kept.save(tmp_path / "kept")).partial


def test_cancelled_with_nothing_to_keep(analysis):
    def stops(model, params, progress):
        raise Cancelled

    analysis(stops)
    for progress in (None, Progress().subprogress(0.0, 0.5)):
        with pytest.raises(Cancelled) as stop:
            runs.run("made-up", MODEL, progress=progress)
        assert stop.value.kept is None


def test_an_error_of_the_analysis_is_not_dressed_up(analysis):
    analysis(lambda model, params, progress: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        runs.run("made-up", MODEL)


def test_new_folders_are_free_and_their_names_are_plain(tmp_path):
    one = Result("../../evil/<b>", provenance=Provenance(model={"name": "../../Some Org/model:é"}))
    folder = runs.new_folder(one, tmp_path)
    assert folder.parent == tmp_path
    assert list(folder.iterdir()) == []
    assert set(folder.name) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"
    )
    assert runs.new_folder(one, tmp_path) != folder
    assert runs.new_folder(Result("…"), tmp_path).name.endswith("-run-model")


SAVE_MANY = """
import sys
from pathlib import Path
from workbench import Result, runs
print("ready", flush=True)
sys.stdin.readline()
for _ in range(25):
    print(runs.save_new(Result("made-up"), Path(sys.argv[1])).name)
"""


@pytest.mark.process
def test_runs_saved_at_once_by_threads_and_processes_are_all_kept(tmp_path):
    root = str(Path(__file__).parents[2])
    ask = [sys.executable, "-c", SAVE_MANY, str(tmp_path)]
    pipes = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "text": True,
        "env": {**os.environ, "PYTHONPATH": root},
    }
    children = [subprocess.Popen(ask, **pipes) for _ in range(2)]
    assert [child.stdout.readline() for child in children] == ["ready\n"] * 2
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    names = [name for child in children for name in child.communicate()[0].split()]
    gate = threading.Barrier(8)

    def save():
        gate.wait()
        return runs.save_new(Result("made-up"), tmp_path).name

    with ThreadPoolExecutor(8) as pool:
        names += [each.result() for each in [pool.submit(save) for _ in range(8)]]
    assert len(set(names)) == len(names) == 58
    assert sorted(entry.id for entry in runs.listing(tmp_path, samples=False)) == sorted(names)


def test_a_run_that_cannot_be_written_leaves_no_folder(tmp_path):
    with pytest.raises(ValueError, match="cannot name"):
        runs.save_new(Result("made-up", tables={"no name!": None}), tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(WorkbenchError, match="could not be written"):
        runs.save_new(Result("made-up"), tmp_path / "file")


def test_the_listing_is_newest_first_with_problems_in_it(tmp_path):
    saved(tmp_path, "old", "2025-01-01T00:00:00+00:00")
    saved(
        tmp_path,
        "new",
        "2026-05-01T00:00:00+00:00",
        findings={"f": Finding("f", 1, "It works.")},
        partial=True,
    )
    bad = saved(tmp_path, "bad")
    (bad / "result.json").write_text("{")
    (tmp_path / "not-a-run").mkdir()
    (tmp_path / "note.txt").write_text("x")
    saved(tmp_path, ".writing-abc")
    entries = runs.listing(tmp_path, samples=False)
    assert [entry.id for entry in entries] == ["new", "old", "bad"]
    assert (entries[0].says, entries[0].partial) == ({"f": "It works."}, True)
    assert (entries[0].model, entries[0].title) == ("tiny", "Made up · tiny")
    assert "damaged" in entries[2].problem
    assert runs.listing(tmp_path / "nowhere", samples=False) == []


def test_a_long_list_reads_a_run_once_and_again_when_it_changed(tmp_path, monkeypatch):
    asked = []
    read = runs.read_index
    monkeypatch.setattr(runs, "read_index", lambda folder: asked.append(folder) or read(folder))
    for number in range(5):
        saved(tmp_path, f"run-{number}")
    for _ in range(3):
        assert len(runs.listing(tmp_path, samples=False)) == 5
    assert len(asked) == 5
    index = json.loads((tmp_path / "run-3" / "result.json").read_text()) | {"title": "Now this"}
    (tmp_path / "run-3" / "result.json").write_text(json.dumps(index))
    assert "Now this" in [entry.title for entry in runs.listing(tmp_path, samples=False)]
    assert len(asked) == 6


@pytest.mark.parametrize(
    "about",
    [
        {"duration": "long"},
        {"duration": None},
        {"duration": 10**400},
        {"model": ["x"]},
        {"started": 3},
        {"model": {"name": [1]}},
    ],
)
def test_one_odd_folder_does_not_end_the_listing(tmp_path, about):
    saved(tmp_path, "good")
    odd = saved(tmp_path, "odd")
    index = json.loads((odd / "result.json").read_text())
    index["provenance"].update(about)
    (odd / "result.json").write_text(json.dumps(index))
    assert {entry.id for entry in runs.listing(tmp_path, samples=False)} == {"good", "odd"}


def test_samples_come_after_ones_own(tmp_path, monkeypatch):
    saved(tmp_path / "samples", "shown", "2030-01-01T00:00:00+00:00")
    saved(tmp_path / "own", "mine")
    monkeypatch.setattr("workbench.paths.sample_runs_dirs", lambda: [tmp_path / "samples"])
    monkeypatch.setenv("WORKBENCH_RUNS", str(tmp_path / "own"))
    assert [(entry.id, entry.sample) for entry in runs.listing()] == [
        ("mine", False),
        ("shown", True),
    ]
    assert runs.open_run("latest").path == tmp_path / "own" / "mine"
    run_labels.write(saved(tmp_path / "own", "older", "2020-01-01T00:00:00+00:00"), pinned=True)
    assert [entry.id for entry in runs.listing()] == ["older", "mine", "shown"]
    assert runs.open_run("latest").path == tmp_path / "own" / "mine"  # pinned is not new
    assert runs.open_run("shown").path == tmp_path / "samples" / "shown"
    assert runs.open_run(tmp_path / "own" / "mine").analysis == "made-up"


def test_an_unknown_run_names_the_nearest(tmp_path):
    saved(tmp_path, "20260101-capital")
    with pytest.raises(NotFound, match="Did you mean '20260101-capital'"):
        runs.open_run("20260101-capitol", tmp_path)
    for strange in ("", "x" * 300, "x" * 5000, "a\0b"):
        with pytest.raises(NotFound):
            runs.open_run(strange, tmp_path)


def test_latest_without_runs(tmp_path):
    with pytest.raises(NotFound, match="no run 'latest'"):
        runs.open_run("latest", tmp_path)


def test_a_damaged_run_says_so_when_asked_for(tmp_path):
    bad = saved(tmp_path, "bad")
    (bad / "result.json").write_text("{")
    with pytest.raises(BadRun, match="damaged"):
        runs.open_run("bad", tmp_path)
