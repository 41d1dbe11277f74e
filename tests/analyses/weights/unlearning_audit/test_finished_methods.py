"""A run that was stopped goes on behind the methods that are done."""

from __future__ import annotations

import os

import numpy as np
import pytest

import workbench as wb
from analyses.weights.unlearning_audit import experiment
from analyses.weights.unlearning_audit import methods as forgetting
from analyses.weights.unlearning_audit.finished_methods import FinishedMethods
from analyses.weights.unlearning_audit.params import Params
from analyses.weights.unlearning_audit.sets import sets_of
from hooks.unlearning import Settings, unlearn
from workbench import paths
from workbench.errors import Cancelled
from workbench.progress import Progress, Update


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    """What is kept lies in a cache of its own."""
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def sets(organism, asked):
    return sets_of(organism, Params(**{**asked, "parts": ["criteria"]}))


@pytest.fixture(scope="module")
def done(organism, sets):
    """One step of a method on two passages."""
    texts = sets.texts("forget")[:2]
    made = unlearn(organism, "mask", texts, sets.texts("retain")[:2], Settings(9.0, 1, (0.01,)))
    return forgetting.Forgetting("gradient mask", made, 1.5, [{"model": "mask", "step": 0}])


def test_what_is_kept_comes_back_as_it_was(organism, sets, done):
    kept = FinishedMethods(organism, sets, 3.0, 60, 0)
    assert kept.get("mask") is None
    kept.put(done)
    again = FinishedMethods(organism, sets, 3.0, 60, 0).get("mask")
    assert (again.title, again.seconds, again.path) == (done.title, done.seconds, done.path)
    assert again.done.log == done.done.log
    assert (again.done.method, again.done.base) == ("mask", done.done.base)
    for side in ("index", "values"):
        mine, theirs = getattr(again.done.delta, side), getattr(done.done.delta, side)
        assert all(np.array_equal(mine[name], theirs[name]) for name in theirs)
    assert list(again.done.delta.index) == list(done.done.delta.index)
    kept.clear()
    assert kept.get("mask") is None


def test_another_aim_or_seed_or_length_is_another_training(organism, sets, done):
    FinishedMethods(organism, sets, 3.0, 60, 0).put(done)
    for changed in ((3.1, 60, 0), (3.0, 61, 0), (3.0, 60, 1)):
        assert FinishedMethods(organism, sets, *changed).get("mask") is None


def test_what_is_half_written_is_not_taken(organism, sets, done):
    kept = FinishedMethods(organism, sets, 3.0, 60, 0)
    kept.put(done)
    change = kept.folder / "mask.safetensors"
    change.write_bytes(change.read_bytes()[:-100])
    assert kept.get("mask") is None
    kept.put(done)
    assert kept.get("mask") is not None
    (kept.folder / "mask.json").unlink()
    assert kept.get("mask") is None


def test_what_cannot_be_kept_does_no_harm(organism, sets, done):
    paths.cache_dir().mkdir()
    (paths.cache_dir() / "unlearning-audit").write_text("a file where the folder should stand")
    kept = FinishedMethods(organism, sets, 3.0, 60, 0)
    kept.put(done)
    assert kept.get("mask") is None


def test_what_a_stopped_run_left_long_ago_is_removed(organism, sets):
    for name, age in (("old", 8), ("new", 1)):
        folder = paths.cache_dir() / "unlearning-audit" / name
        folder.mkdir(parents=True)
        then = folder.stat().st_mtime - age * 24 * 3600
        os.utime(folder, (then, then))
    FinishedMethods(organism, sets, 3.0, 60, 0)
    assert [each.name for each in (paths.cache_dir() / "unlearning-audit").iterdir()] == ["new"]


def test_a_stopped_run_goes_on_behind_the_methods_that_are_done(organism, asked, monkeypatch):
    trained, whole = [], experiment.forget

    def spied(model, sets, method, *rest, **named):
        trained.append(method)
        return whole(model, sets, method, *rest, **named)

    def stop(update: Update) -> None:
        if "Measuring: original" in update.says:
            progress.cancel()

    monkeypatch.setattr(experiment, "forget", spied)
    progress = Progress(stop)
    params = {**asked, "methods": ["ga"], "steps": 1, "longest": 32, "parts": ["criteria"]}
    with pytest.raises(Cancelled):
        wb.run("unlearning-audit", organism, params, progress=progress)
    assert list((paths.cache_dir() / "unlearning-audit").glob("*/ga.json"))
    again = wb.run("unlearning-audit", organism, params)
    assert trained == ["ga"]
    assert len(again.tables["unlearning"]) == 1
    assert not list((paths.cache_dir() / "unlearning-audit").iterdir())
