"""Who gets which piece, what happens when workers die, and how a grid is stopped."""

from __future__ import annotations

import pytest

from workbench.errors import Cancelled, WorkbenchError
from workbench.grid import cell_tasks
from workbench.grid.campaign import Campaign
from workbench.grid.drive import TRIES, Driver
from workbench.grid.engine import Event, Loading
from workbench.grid.plan import PlannedRun
from workbench.progress import Progress
from workbench.result import Result


def cell(model: str, n: int) -> PlannedRun:
    return PlannedRun("count", model, {"n": n, "seed": n % 2}, {"model": model, "n": n})


class Scripted:
    """An engine whose workers do at once what a script says of the cell's number."""

    def __init__(self, script=None):
        self.script, self.said, self.given, self.hired = script or {}, [], [], 0
        self.stopped = False

    def hire(self):
        self.hired += 1
        return self.hired

    def give(self, worker, task):
        self.given.append((worker, task))
        n = task.given["params"]["n"]
        kinds = self.script.get(n, [])
        kind = kinds.pop(0) if kinds else "done"
        if task.work.endswith(":estimate"):
            self.said.append(Event(worker, "done", seconds=float(n)))
        elif kind == "done":
            Result(task.given["analysis"]).save(task.target)
            self.said.append(Event(worker, "progress", 0.5, "half"))
            self.said.append(Event(worker, "done", seconds=2.0))
        elif kind != "hang":
            self.said.append(Event(worker, kind, error=WorkbenchError(f"{kind} on {n}")))

    def hear(self, seconds):
        said, self.said = self.said, []
        if self.stopped:
            said.append(Event(self.given[-1][0], "cancelled"))
        return said

    def stop(self):
        self.stopped = True


LOADING = Loading("cpu", "float32")


def run(tmp_path, cells, engine, workers=2, progress=None, expected=None):
    campaign = Campaign(tmp_path / "grid", cells)
    pieces = cell_tasks.pieces(campaign, cells, LOADING, expected or {})
    return Driver(engine, workers).run(pieces, progress or Progress())


def test_a_worker_keeps_its_model_while_there_are_cells_of_it(tmp_path):
    cells = [cell(model, n) for model in ("a", "b") for n in range(4)]
    engine = Scripted()
    outcome = run(tmp_path, cells, engine)
    assert len(outcome.done) == 8
    assert engine.hired == 2
    models = {w: [t.model for worker, t in engine.given if worker == w] for w in (1, 2)}
    assert {frozenset(each) for each in models.values()} == {frozenset("a"), frozenset("b")}
    assert {(t.loading.device, t.loading.dtype) for _, t in engine.given} == {("cpu", "float32")}


def test_a_cell_goes_to_another_worker_where_one_died_and_is_given_up_after_some(tmp_path):
    cells = [cell("a", n) for n in range(3)]
    engine = Scripted({0: ["died"], 1: ["died"] * TRIES})
    outcome = run(tmp_path, cells, engine)
    assert set(outcome.done) == {cells[0].key, cells[2].key}
    assert list(outcome.failed) == [cells[1].key]
    assert outcome.failed[cells[1].key].what == "died on 1"
    assert outcome.lost == 1 + TRIES
    workers = [worker for worker, task in engine.given if task.given["params"]["n"] == 1]
    assert len(set(workers)) == TRIES


def test_a_cell_that_fails_is_not_tried_again_and_the_others_are_run(tmp_path):
    cells = [cell("a", n) for n in range(3)]
    engine = Scripted({1: ["failed"]})
    outcome = run(tmp_path, cells, engine)
    assert len(outcome.done) == 2
    assert outcome.failed[cells[1].key].what == "failed on 1"
    assert len(engine.given) == 3
    assert outcome.lost == 0


def test_stopping_asks_the_workers_once_and_keeps_what_is_finished(tmp_path):
    cells = [cell("a", n) for n in range(3)]
    engine = Scripted({1: ["hang"]})
    progress = Progress(lambda update: progress.cancel() if update.fraction > 0.3 else None)
    campaign = Campaign(tmp_path / "grid", cells)
    with pytest.raises(Cancelled):
        run(tmp_path, cells, engine, 1, progress)
    assert [campaign.done(one) for one in cells] == [True, False, False]
    assert len(engine.given) == 2


def test_the_bar_moves_by_what_cells_cost(tmp_path):
    cells = [cell("a", n) for n in range(2)]
    seen = []
    progress = Progress(lambda update: seen.append((update.fraction, update.says)))
    expected = {cells[0].key: 30.0, cells[1].key: 10.0}
    engine = Scripted({1: ["failed"]})
    run(tmp_path, cells, engine, 1, progress, expected)
    assert seen[0][0] == pytest.approx(0.75)
    assert seen[0][1].startswith("1 of 2 done, 0 running. a, n 0: half")
    assert seen[-1][0] == pytest.approx(1.0)


def test_one_step_and_one_seed_stand_for_all_and_their_worker_stays(tmp_path):
    cells = [cell(f"grown@step-{step}", n) for step in (0, 9) for n in (4, 5)]
    cells += [PlannedRun("count", "other", {"n": 4, "seed": seed}, {}) for seed in (0, 1)]
    engine = Scripted()
    driver, campaign = Driver(engine, 2), Campaign(tmp_path / "grid", cells)
    expected = cell_tasks.estimates(driver, cells, LOADING, Progress())
    assert sorted(t.given["params"]["n"] for _, t in engine.given) == [4, 4, 5]
    assert [expected[one.key] for one in cells] == [4.0, 5.0, 4.0, 5.0, 4.0, 4.0]
    assert not any(campaign.done(one) for one in cells)
    hired = engine.hired
    driver.run(cell_tasks.pieces(campaign, cells, LOADING, expected), Progress())
    assert engine.hired == hired == 2
