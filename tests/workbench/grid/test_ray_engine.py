"""Workers on a Ray cluster: what runs in an actor, and a real cluster of two with kills."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys

import pytest

from tests.helpers import ray_cluster, waiting
from tests.helpers.grids import processes, runs_in, started
from tests.helpers.ray_cluster import ACTOR
from workbench import __version__
from workbench.errors import BadInput, WorkbenchError
from workbench.grid import ray_engine
from workbench.grid.engine import Event, Loading, WorkerTask
from workbench.result import Result


def test_where_ray_is_missing_the_line_to_install_it_is_said(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"pip install 'memory-workbench\[scale\]'"):
        ray_engine.check()


def test_another_version_on_the_cluster_is_refused():
    with pytest.raises(WorkbenchError, match="Install the same version everywhere"):
        ray_engine.Remote("0.0.0", "/")


def test_a_run_comes_back_as_it_was_made(place, model_folder, tmp_path):
    remote = ray_engine.Remote(__version__, str(place))

    def task_of(params):
        given = {"analysis": "count-sheep", "params": params}
        place = tmp_path / "grid" / "run-1"
        loading = Loading("cpu", "float32")
        return WorkerTask("workbench.grid.cell_tasks:run", model_folder, given, place, loading)

    task = task_of({"steps": 2, "pause": 0.0})
    remote.do(task.to_json())
    events = [Event.from_json(1, raw) for raw in remote.hear(1)]
    assert [event.kind for event in events][-1] == "done"
    assert any(event.says == "Counting sheep 2" for event in events)
    assert not task.target.exists()
    ray_engine.unpack(remote.fetch(), task.target)
    assert Result.open(task.target).findings["sheep"].value == 2
    assert remote.hear(0.01) == []
    remote.do(task_of({"crash": True}).to_json())
    (*_, failed) = [Event.from_json(1, raw) for raw in remote.hear(1)]
    assert failed.kind == "failed"
    assert "RuntimeError" in failed.error.what


def test_what_was_made_comes_back_as_a_file_too(tmp_path):
    made, target = tmp_path / "made" / "shard", tmp_path / "new" / "shard"
    made.parent.mkdir()
    made.write_bytes(b"1234")
    ray_engine.unpack(ray_engine.packed(made), target)
    assert target.read_bytes() == b"1234"
    assert [file.name for file in target.parent.iterdir()] == ["shard"]


@pytest.fixture
def cluster(monkeypatch):
    pytest.importorskip("ray")
    with ray_cluster.running(monkeypatch) as begun:
        yield begun


@pytest.mark.verify
@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="actors are found in /proc")
def test_a_worker_the_driver_and_the_head_are_killed_and_the_grid_is_ended(
    cluster, place, model_folder
):
    address = cluster.start()
    seeds = "seed=0,1,2,3,4,5,6,7,8,9"
    arguments = ["-m", model_folder, "--set", seeds, "--set", "steps=20", "--set", "pause=0.1"]
    arguments += ["--out", "grid", "--engine", "ray", "--address", address, "--json"]
    folder = place / "grid"

    driver = started(place, *arguments)
    try:
        actors = waiting.until(lambda: len(found := processes(ACTOR)) == 2 and found, 180)
        waiting.until(lambda: len(runs_in(folder)) >= 1, 180)
        os.kill(actors[0], signal.SIGKILL)
        waiting.until(lambda: set(processes(ACTOR)) - set(actors), 180)
        waiting.until(lambda: len(runs_in(folder)) >= 3, 180)
    finally:
        driver.kill()
        driver.communicate()
    waiting.until(lambda: not processes(ACTOR), 180)
    kept = {file: file.stat().st_mtime_ns for file in runs_in(folder)}
    assert 3 <= len(kept) < 10

    driver = started(place, *arguments)
    waiting.until(lambda: len(runs_in(folder)) > len(kept), 180)
    cluster.kill_head()
    driver.communicate(timeout=300)
    assert driver.returncode != 0
    assert len(runs_in(folder)) < 10

    cluster.stop()
    cluster.start()
    out, err = started(place, *arguments).communicate(timeout=600)
    assert len(runs_in(folder)) == 10, err
    assert '"failed": {}' in out
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
