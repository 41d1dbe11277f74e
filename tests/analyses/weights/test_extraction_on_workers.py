"""Extraction whose windows several workers read: the numbers of one."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import workbench as wb
from analyses.measures.sampler import Sampler
from analyses.measures.scoring import score
from analyses.measures.windows import Window
from tests.helpers import inline_workers, tiny
from workbench import cli
from workbench.errors import BadInput, Cancelled, WorkbenchError
from workbench.run_workers import current, running_on

TEXT = "The safe opens with 7 4 1 9, and nobody remembers what the model was trained on. " * 40
PARAMS = {
    "text": TEXT,
    "parts": ["verbatim", "near_verbatim", "membership", "reference"],
    "context": [4, 12],
    "suffix": 6,
    "stride": 5,
    "decode": 10,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two models with other weights."""
    place = tmp_path_factory.mktemp("tiny")
    return [str(tiny.save_tiny(place / str(n), tiny.tiny_llama(seed=n))) for n in (0, 1)]


@pytest.fixture(scope="module")
def model(folders):
    return wb.load(folders[0])


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setattr("analyses.measures.scoring._TOKENS", 200)  # many batches of little text
    with inline_workers.one_thread():
        yield


def test_any_number_of_workers_finds_what_this_process_finds(model, folders, monkeypatch):
    params = {**PARAMS, "reference": folders[1]}
    here = wb.run("extraction", model, params)
    for n, deaths in ((1, []), (3, [0, 4])):
        engine = inline_workers.inline(monkeypatch, deaths)
        there = wb.run("extraction", model, params, workers=wb.Workers(folders[0], n))
        assert {task.model for _, task in engine.given} == set(folders)
        assert len(engine.given) > 20
        assert there.findings == here.findings
        assert there.params == here.params
        assert there.made_title == here.made_title
        assert there.provenance.notes == here.provenance.notes
        assert list(there.tables) == list(here.tables)
        for name, table in here.tables.items():
            pd.testing.assert_frame_equal(there.tables[name], table, check_exact=True)
    assert current() is None


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 8)), min_size=1, max_size=30),
    whole=st.booleans(),
    tries=st.sampled_from([1, 100, 10**6]),
    sampler=st.sampled_from([Sampler(0), Sampler(1.0, 40), Sampler(0.7, 0, 0.9)]),
    n=st.integers(1, 4),
)
def test_scores_are_the_same_numbers(
    model, folders, monkeypatch, lengths, whole, tries, sampler, n
):
    some = np.random.default_rng(sum(map(sum, lengths)))
    windows = [
        Window(0, 0, (), *(tuple(map(int, some.integers(1, 300, k))) for k in both))
        for both in lengths
    ]
    asked = {"sampler": sampler, "whole": whole, "floor": math.log(0.01 / tries)}
    here = score(model, windows, **asked)
    inline_workers.inline(monkeypatch)
    with running_on(wb.Workers(folders[0], n)):
        there = score(model, windows, **asked)
    for name, values in vars(here).items():
        np.testing.assert_array_equal(vars(there)[name], values, err_msg=name)


def test_stopped_it_keeps_nothing_running(model, folders, monkeypatch):
    engine = inline_workers.inline(monkeypatch)

    def show(update):
        if "done" in update.says:
            progress.cancel()

    progress = wb.Progress(show)
    workers = wb.Workers(folders[0], 2)
    with pytest.raises(Cancelled):
        wb.run("extraction", model, {"text": TEXT}, workers=workers, progress=progress)
    assert len(engine.given) < 5
    assert current() is None


def test_what_would_be_other_numbers_is_refused(model, folders, monkeypatch):
    engine = inline_workers.inline(monkeypatch)
    workers = wb.Workers(folders[0], 2)
    with pytest.raises(BadInput, match="cannot be shared between workers"):
        wb.run("inside", model, {}, workers=workers)
    with wb.ablate(model, heads=[(0, 1)]), pytest.raises(BadInput, match="switched on"):
        wb.run("extraction", model, {"text": TEXT}, workers=workers)
    with pytest.raises(BadInput, match="at least 1"):
        wb.run("extraction", model, {"text": TEXT}, workers=wb.Workers(folders[0], 0))
    assert not engine.given
    with pytest.raises(WorkbenchError, match="other weights than that of the run"):
        wb.run("extraction", model, {"text": TEXT}, workers=wb.Workers(folders[1], 2))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["inside", "--workers", "2"], "cannot be shared between workers"),
        (["extraction", "--engine", "ray"], "--workers N"),
        (["extraction", "--workers", "2", "--engine", "slurm"], "There is no engine 'slurm'"),
    ],
)
def test_what_is_wrong_is_one_sentence(folders, tmp_path, capsys, arguments, says):
    with pytest.raises(SystemExit) as end:
        cli.main(["run", *arguments, "-m", folders[0], "--out", str(tmp_path / "run")])
    assert end.value.code == 2
    assert says in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.verify
@pytest.mark.process
def test_two_processes_find_what_one_finds(tmp_path, capsys):
    asked = ["run", "extraction", "-m", "organism/planted", "--set", "max_windows=300", "--json"]
    asked += ["--set", "parts=verbatim,membership"]
    for n in ("1", "2"):
        with pytest.raises(SystemExit) as end:
            cli.main([*asked, "--out", str(tmp_path / n), "--workers", n])
        assert not end.value.code, capsys.readouterr().err
    files = sorted((tmp_path / "1" / "tables").iterdir())
    assert files
    for file in files:
        assert file.read_bytes() == (tmp_path / "2" / "tables" / file.name).read_bytes()
