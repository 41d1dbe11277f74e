"""`make verify`: goes on after a stop and on another commit, and shows what was run."""

from __future__ import annotations

import contextlib

import pytest

from benchmarks import verify as module
from sample_runs import make
from workbench.result import Finding, Result

STEPS = {"one": ["1"], "two": ["2"], "three": ["3"]}


@pytest.fixture
def commit(monkeypatch):
    monkeypatch.setattr(module, "_commit", lambda: "abc")


def going(state, results):
    """Runs the target; what was asked, whether it is whole."""
    asked, saved = [], []

    def run(command, seconds):
        assert 0 < seconds <= module.HOUR
        asked.append(command[0])
        result = results.get(command[0], "passed")
        if isinstance(result, BaseException):
            raise result
        return result

    whole = None
    with contextlib.suppress(KeyboardInterrupt):
        whole = module.verify("seeds", STEPS, state, run, lambda: saved.append(len(asked)))
    assert len(saved) == len(asked) - (whole is None)  # written down after every step
    return asked, whole


def test_it_goes_on_after_a_stop_and_tries_again_what_failed(commit):
    state = {}
    assert going(state, {"2": KeyboardInterrupt()}) == (["1", "2"], None)
    assert going(state, {"2": "failed with code 1"}) == (["2", "3"], False)
    assert going(state, {}) == (["2"], True)
    assert going(state, {}) == (["1", "2", "3"], True)  # whole: the next call is another round


def test_another_commit_begins_with_what_never_ran_and_what_failed(commit, monkeypatch):
    state = {}
    going(state, {"2": "failed with code 1", "3": KeyboardInterrupt()})
    monkeypatch.setattr(module, "_commit", lambda: "def")
    assert going(state, {"1": KeyboardInterrupt()}) == (["3", "2", "1"], None)
    assert {name: step["commit"] for name, step in state["seeds"].items()} == {
        "one": "abc",
        "two": "def",
        "three": "def",
    }
    assert going(state, {}) == (["1"], True)


def test_what_passed_longest_ago_is_run_first(commit):
    def of(date):
        return {"result": "passed", "seconds": 1, "date": date, "commit": "older"}

    state = {"seeds": {"one": of("2026-01-02"), "two": of("2026-01-03"), "three": of("2026-01-01")}}
    assert going(state, {}) == (["3", "1", "2"], True)


def test_no_step_begins_after_the_hour(commit, monkeypatch):
    state, clock = {}, iter([0.0, 0.0, 0.0, 1800.0, 3600.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    assert going(state, {}) == (["1"], False)
    assert state["seeds"]["one"]["seconds"] == 1800


def test_the_page_tells_what_was_run_and_what_never(commit):
    assert module.page({}).count("never run") == len(module.TARGETS)
    steps = {
        "five seeds": {
            "result": "failed with code 1",
            "seconds": 90,
            "date": "2026-01-01",
            "commit": "abc",
        },
    }
    shown = module.page({"seeds": steps})
    assert (
        "| seeds | `make verify-seeds` | 0 of 1 passed; five seeds: failed with code 1 | 2026-01-01"
        " | 1.5 min | abc |" in shown
    )
    assert shown.count("never run") == len(module.TARGETS) - 1


def test_the_committed_page_is_that_of_the_committed_state():
    import json

    state = json.loads(module.STATE.read_text("utf-8"))
    assert module.PAGE.read_text("utf-8") == module.page(state)


def test_an_unknown_target_is_named(capsys):
    assert module.main(["sedes"]) == 2
    assert "no target 'sedes'" in capsys.readouterr().out


def test_steps_are_ended_and_their_codes_are_told():
    assert module._run(["-c", "pass"], 60) == "passed"
    assert module._run(["-c", "raise SystemExit(3)"], 60) == "failed with code 3"
    assert module._run(["-c", "import time; time.sleep(60)"], 0.5) == "ended after its hour"


def test_a_sample_run_is_compared_by_what_it_finds():
    def of(**values):
        findings = {k: Finding(k, v, unit="heads", says="It is so.") for k, v in values.items()}
        return Result("x", findings=findings)

    assert make.differences(of(a=1.0, b=2.0), of(a=1.00001, b=2.0)) == []
    assert make.differences(of(a=float("nan")), of(a=float("nan"))) == []
    assert make.differences(of(a=1.0, b=2.0), of(a=1.1, c=2.0)) == ["a", "b", "c"]


def test_the_page_of_families_is_written_where_it_lies():
    (step,) = module.TARGETS["architectures"].values()
    assert (module.ROOT / step[-1]).is_file()
