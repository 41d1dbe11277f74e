"""The queue of runs: states, progress, cancel, what a third party's analysis may do to it."""

from __future__ import annotations

import threading

import pytest

from tests.helpers import fake_package
from tests.helpers.waiting import until
from ui.jobs import Jobs
from ui.model_shelf import ModelShelf
from workbench.errors import BadInput, NotFound, WorkbenchError
from workbench.result import Result


@pytest.fixture(autouse=True)
def _sheep(tmp_path_factory, monkeypatch):
    fake_package.install(tmp_path_factory.mktemp("package"), monkeypatch)
    yield
    monkeypatch.undo()
    fake_package.forget()


@pytest.fixture
def jobs(llama, tmp_path):
    made = Jobs(ModelShelf(llama), tmp_path / "runs")
    yield made
    made.stop()


def test_a_run_is_done_saved_and_stamped(jobs, tmp_path):
    job = jobs.submit("count-sheep", {"steps": 3}, seed=7)
    assert job.finished.wait(60)
    assert (job.state, job.error, job.fraction) == ("done", None, 1.0)
    result = Result.open(tmp_path / "runs" / job.run_id)
    assert result.findings["sheep"].value == 3
    assert result.params["seed"] == 7
    assert not result.partial
    assert job.findings["sheep"]["says"] == "It takes 3 sheep."


def test_progress_is_seen_while_it_runs(jobs):
    job = jobs.submit("count-sheep", {"steps": 200, "pause": 0.02})
    until(lambda: job.fraction > 0.03)
    assert jobs.running() is job
    assert job.says.startswith("Counting sheep")
    assert job.left is not None
    assert job.elapsed > 0


def test_cancel_stops_within_a_batch_keeps_what_there_is_and_frees_the_model(jobs, llama, tmp_path):
    job = jobs.submit("count-sheep", {"steps": 400, "pause": 0.05})
    until(lambda: job.fraction > 0)
    jobs.cancel(job.id)
    assert job.finished.wait(60)
    assert job.state == "cancelled"
    assert Result.open(tmp_path / "runs" / job.run_id).partial
    assert llama.lock.acquire(timeout=60)
    llama.lock.release()


def test_a_waiting_run_is_dropped_at_once_and_the_next_goes_on(jobs):
    first = jobs.submit("count-sheep", {"steps": 400, "pause": 0.05})
    second = jobs.submit("count-sheep", {"steps": 1})
    third = jobs.submit("count-sheep", {"steps": 1})
    jobs.cancel(second.id)
    assert second.state == "cancelled"
    assert second.run_id is None
    jobs.cancel(first.id)
    assert third.finished.wait(60)
    assert third.state == "done"
    assert [job.id for job in jobs.recent()] == [third.id, second.id, first.id]


def test_what_an_analysis_raises_is_shown_and_the_queue_goes_on(jobs):
    crashed = jobs.submit("count-sheep", {"crash": True})
    after = jobs.submit("count-sheep", {"steps": 1})
    assert after.finished.wait(60)
    assert crashed.state == "failed"
    assert "RuntimeError: <b>boom</b>" in crashed.error.what
    assert after.state == "done"


def test_bad_input_is_refused_before_anything_waits(jobs):
    with pytest.raises(NotFound, match="Did you mean 'count-sheep'"):
        jobs.submit("count-sheeps", {})
    with pytest.raises(BadInput, match="steps"):
        jobs.submit("count-sheep", {"steps": 0})
    with pytest.raises(NotFound, match="step"):
        jobs.submit("count-sheep", {"step": 1})
    with pytest.raises(NotFound):
        jobs.cancel("unknown")
    assert jobs.recent() == []


def test_a_model_that_could_not_be_loaded_fails_the_run_with_its_message():
    def load(ref, progress):
        raise WorkbenchError("No such model.", "another", "Choose one.")

    shelf = ModelShelf("nothing", load)
    shelf.start()
    jobs = Jobs(shelf)
    job = jobs.submit("count-sheep", {"steps": 1})
    assert job.finished.wait(60)
    assert job.error.what == "No such model."
    jobs.stop()


def test_a_run_waits_for_the_model_and_can_be_cancelled_meanwhile(llama):
    gate = threading.Event()
    shelf = ModelShelf("slow", lambda ref, progress: gate.wait(600))
    shelf.start()
    jobs = Jobs(shelf)
    job = jobs.submit("count-sheep", {"steps": 1})
    until(lambda: job.says == "Waiting for the model")
    jobs.cancel(job.id)
    assert job.finished.wait(60)
    assert job.state == "cancelled"
    assert not gate.is_set()
    gate.set()
    jobs.stop()


def test_stopping_cancels_everything(jobs):
    running = jobs.submit("count-sheep", {"steps": 400, "pause": 0.05})
    waiting = jobs.submit("count-sheep", {"steps": 1})
    until(lambda: running.fraction > 0)
    assert jobs.stop() == [running, waiting]
    assert running.state == waiting.state == "cancelled"
    assert jobs.stop() == []
    with pytest.raises(WorkbenchError, match="stopping"):
        jobs.submit("count-sheep", {})


def test_a_run_that_could_not_be_saved_is_refused_before_it_costs_anything(llama, tmp_path):
    (tmp_path / "file").write_text("no folder")
    jobs = Jobs(ModelShelf(llama), tmp_path / "file" / "runs")
    with pytest.raises(WorkbenchError, match="is a file") as refused:
        jobs.submit("count-sheep", {})
    assert "--runs" in refused.value.do
    assert jobs.recent() == []
    jobs.stop()


def test_a_run_that_cannot_be_saved_in_the_end_is_kept_elsewhere(llama, tmp_path, monkeypatch):
    root, cwd = tmp_path / "runs", tmp_path / "here"
    cwd.mkdir()
    monkeypatch.chdir(cwd)
    jobs = Jobs(ModelShelf(llama), root)
    job = jobs.submit("count-sheep", {"steps": 40, "pause": 0.02})
    until(lambda: job.fraction > 0)
    root.write_text("the folder went away")
    assert job.finished.wait(10)
    (kept,) = cwd.iterdir()
    assert job.state == "failed"
    assert str(kept) in job.error.do
    assert Result.open(kept).findings["sheep"].value == 40
    jobs.stop()
