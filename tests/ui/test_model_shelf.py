"""The shelf of models: switching, loading beside, cancelling, what does not fit, what is let go.

The loader is a fake that a test holds at a gate, and memory is a number.
"""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from tests.helpers.waiting import until
from ui.jobs import Jobs
from ui.model_shelf import WORKING_ROOM, ModelShelf, NoRoom
from workbench.errors import BadInput, WorkbenchError

GB = 10**9


class Machine:
    """Models of given sizes, and the memory they are loaded into."""

    def __init__(self, memory: int = 10 * GB, **sizes: int) -> None:
        self.memory, self.sizes = memory, sizes
        self.gates = {name: threading.Event() for name in sizes if name.startswith("slow")}
        self.reports: list[str] = []
        self.shelf = ModelShelf("first", self.load, self.sizes.get, self.free)
        self.shelf.start()

    def load(self, ref, progress):
        progress(0.1, f"Reading {ref}")
        self.reports.append(ref)
        if ref == "broken":
            raise BadInput("The weights of broken are cut off.", "whole ones", "Get a copy.")
        if ref == "odd":
            raise RuntimeError("<b>library</b>")
        while ref in self.gates and not self.gates[ref].wait(0.01):
            progress(0.5, f"Reading {ref}")
        return SimpleNamespace(card=SimpleNamespace(name=ref), lock=threading.RLock())

    def free(self) -> int:
        used = sum(self.sizes.get(slot.name, 0) for slot in self.shelf.loaded())
        return self.memory + WORKING_ROOM - used

    @property
    def loaded(self) -> list[str]:
        return sorted(slot.name for slot in self.shelf.loaded())

    def opened(self, ref: str, **options) -> None:
        assert self.shelf.open(ref, **options).wait(60)
        until(lambda: self.shelf.loading is None)


@pytest.fixture(autouse=True)
def collections(monkeypatch):
    """How often garbage was collected: the fakes leave none, and a real one takes a second."""
    made = []
    monkeypatch.setattr("ui.model_shelf.gc", SimpleNamespace(collect=lambda: made.append(1)))
    return made


@pytest.fixture
def machine():
    made = Machine(first=2 * GB, second=3 * GB, third=4 * GB, slow=GB, slower=GB, huge=11 * GB)
    until(lambda: made.shelf.current.state == "ready")
    yield made
    for gate in made.gates.values():
        gate.set()


def test_the_old_one_answers_while_another_loads(machine):
    shelf = machine.shelf
    slot = shelf.open("slow")
    until(lambda: slot.fraction == 0.5)
    assert (shelf.current.name, shelf.loading) == ("first", slot)
    assert slot.says == "Reading slow"
    assert shelf.current.need() is not None
    machine.gates["slow"].set()
    until(lambda: shelf.current is slot)
    assert shelf.loading is None
    assert machine.loaded == ["first", "slow"]


def test_what_is_in_memory_is_current_at_once_and_not_read_again(machine):
    machine.opened("second")
    machine.opened("first")
    machine.opened("second")
    assert machine.shelf.current.name == "second"
    assert machine.reports == ["first", "second"]


@pytest.mark.parametrize(("ref", "says"), [("broken", "cut off"), ("odd", "RuntimeError")])
def test_a_broken_one_is_said_and_changes_nothing(machine, ref, says):
    machine.opened(ref)
    assert machine.shelf.current.name == "first"
    assert machine.shelf.current.state == "ready"
    assert machine.shelf.problem.ref == ref
    assert says in machine.shelf.problem.error.what
    assert machine.shelf.problem.error.do
    machine.opened("second")
    assert machine.shelf.problem is None
    machine.opened(ref)  # and may be tried again
    assert machine.reports.count(ref) == 2


def test_one_that_does_not_fit_is_refused_with_need_and_room_before_anything_is_let_go(machine):
    machine.opened("second")
    machine.opened("huge")
    error = machine.shelf.problem.error
    assert isinstance(error, NoRoom)
    assert "need 11 GB" in error.what
    assert error.do
    assert not error.replaceable
    assert machine.loaded == ["first", "second"]
    assert "huge" not in machine.reports
    assert machine.shelf.fit(11 * GB) == "too large"
    assert machine.shelf.fit(8 * GB) == "replace"
    assert machine.shelf.fit(GB) == "fits"
    assert machine.shelf.fit(None) == ""


def test_the_least_used_is_let_go_where_memory_is_short_and_that_is_said(machine):
    machine.opened("second")
    machine.opened("third")
    machine.opened("first")
    machine.opened("second")  # now third was used longest ago
    machine.sizes["fourth"] = 3 * GB
    machine.opened("fourth")
    assert machine.loaded == ["first", "fourth", "second"]
    assert machine.shelf.notice.text == "third was unloaded to make room for fourth."


def test_what_a_job_holds_and_the_current_one_are_never_let_go(machine):
    held = machine.shelf.current
    machine.shelf.hold(held)
    machine.opened("third")
    machine.sizes["large"] = 6 * GB
    machine.opened("large")
    error = machine.shelf.problem.error
    assert machine.loaded == ["first", "third"]
    assert error.replaceable
    assert "Unload third" in error.do
    machine.shelf.release(held)
    machine.opened("large")
    assert machine.loaded == ["large", "third"]


def test_the_current_one_goes_where_that_was_asked_for(machine):
    machine.sizes["large"] = 9 * GB
    machine.opened("large")
    assert machine.shelf.problem.error.replaceable
    machine.opened("large", replace=True)
    assert machine.loaded == ["large"]
    assert machine.shelf.current.name == "large"
    machine.shelf.hold(machine.shelf.current)
    machine.opened("first", replace=True)
    assert machine.shelf.current.name == "large"
    assert not machine.shelf.problem.error.replaceable


def test_cancel_ends_the_loading_at_once_and_keeps_the_current_one(machine):
    slot = machine.shelf.open("slow")
    until(lambda: slot.fraction == 0.5)
    machine.shelf.cancel()
    assert machine.shelf.loading is None
    assert machine.shelf.problem is None
    assert slot.state == "failed"
    assert machine.shelf.current.name == "first"
    machine.opened("second")  # the thread that read the other has stopped: nothing opens its gate
    assert machine.loaded == ["first", "second"]


def test_a_model_that_came_in_spite_of_a_cancel_is_let_go(machine):
    slot = machine.shelf.open("slow")
    until(lambda: slot.fraction == 0.5)
    slot.cancel()
    machine.gates["slow"].set()
    until(lambda: machine.shelf.loading is None)
    machine.opened("second")
    assert slot.model is None
    assert machine.loaded == ["first", "second"]


def test_choosing_another_while_one_loads_takes_the_last(machine):
    first = machine.shelf.open("slow")
    until(lambda: first.fraction == 0.5)
    machine.opened("second")
    assert machine.shelf.current.name == "second"
    assert first.state == "failed"
    first = machine.shelf.open("slower")
    until(lambda: first.fraction == 0.5)
    machine.opened("second")  # the current one: no other is wanted
    assert first.state == "failed"
    assert machine.shelf.current.name == "second"


def test_before_there_is_a_model_another_may_be_chosen():
    machine = Machine(slow=GB, second=GB)
    machine.shelf.current.wait(60)
    shelf = ModelShelf("slow", machine.load)
    shelf.start()
    until(lambda: shelf.current.fraction == 0.5)
    shelf.open("second")
    until(lambda: shelf.current.state == "ready")
    assert shelf.current.name == "second"
    failed = ModelShelf("broken", machine.load)
    failed.start()
    until(lambda: failed.current.state == "failed")
    failed.open("second")
    until(lambda: failed.current.state == "ready")
    assert [slot.name for slot in failed.loaded()] == ["second"]


def test_a_second_model_is_loaded_beside_and_nothing_switches(machine, collections):
    slot = machine.shelf.get("second")
    assert slot.wait(60)
    assert machine.shelf.get("second") is slot
    assert machine.shelf.current.name == "first"
    assert not collections
    machine.shelf.unload("second")
    assert machine.loaded == ["first"]
    assert collections  # its memory is given back at once
    with pytest.raises(WorkbenchError, match="unloaded"):
        slot.need()
    with pytest.raises(WorkbenchError, match="current"):
        machine.shelf.unload("first")
    machine.shelf.unload("never heard of")


def test_a_queued_run_keeps_the_model_it_was_asked_of(llama, tmp_path, monkeypatch):
    from tests.helpers import fake_package

    other = SimpleNamespace(card=SimpleNamespace(name="other"), lock=threading.RLock())
    (tmp_path / "package").mkdir()
    fake_package.install(tmp_path / "package", monkeypatch)
    shelf = ModelShelf(llama, lambda ref, progress: other)
    jobs = Jobs(shelf, tmp_path / "runs")
    running = jobs.submit("count-sheep", {"steps": 400, "pause": 0.05})
    waiting = jobs.submit("count-sheep", {"steps": 1})
    until(lambda: running.fraction > 0)
    shelf.open("other").wait(60)
    until(lambda: shelf.current.name == "other")
    with pytest.raises(WorkbenchError, match="a run has it"):
        shelf.unload(llama.card.name)
    jobs.cancel(running.id)
    assert waiting.finished.wait(60)
    assert waiting.state == "done"
    assert running.model == waiting.model == llama.card.name
    shelf.unload(llama.card.name)
    assert [slot.name for slot in shelf.loaded()] == ["other"]
    jobs.stop()
    monkeypatch.undo()
    fake_package.forget()
