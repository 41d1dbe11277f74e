"""What takes too long for `make test`: published figures measured again, seeds, sample runs, kills,
peers, and a notebook in a fresh environment.

    python -m benchmarks.verify [TARGET …]        default: all, one after the other

A target is a list of steps, each a command of its own. What a step gave is written down at once,
with its commit. A call begins with the steps that never ran, then those that failed, then those
that passed longest ago; a step that passed on this commit runs again only when all others have.
After an hour no further step of a target begins, and a step still running is ended: the next call
goes on, also on a later commit, so that what takes many hours comes round in several sittings.
`docs/results/verified.md` shows the last result of each.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sample_runs.make import RUNS

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results"
STATE, PAGE = RESULTS / "verified.json", RESULTS / "verified.md"
HOUR = 3600.0

Steps = Mapping[str, Sequence[str]]
Run = Callable[[Sequence[str], float], str]


def _tests(*arguments: str) -> list[str]:
    return ["-m", "pytest", *arguments]


def _workbench(*arguments: str) -> list[str]:
    return ["-c", "from workbench.cli import main; main()", *arguments]


TARGETS: dict[str, Steps] = {
    "figures": {
        name: ["-m", "benchmarks", name]
        for name in ("loading", "capture", "sweep", "extraction", "features", "roofline")
    },
    "architectures": {
        "every family": ["-m", "benchmarks.architectures", "docs/reference/architectures.md"]
    },
    "seeds": {"five seeds": _workbench("run", "knowledge-conflict", "--seeds", "5")},
    "cost": {
        name: ["-m", "benchmarks.cost", name]
        for name in (
            "inside",
            "extraction",
            "knowledge-conflict",
            "paragraph-memorization",
            "function-tokens",
        )
    },
    "samples": {name: ["-m", "sample_runs.make", "--check", name] for name in RUNS},
    "tests": {"left out of make test": _tests("-m", "verify")},
    "peers": {"tests": _tests("tests/hooks/test_peers.py", "tests/hooks/test_sweep_peers.py")},
    "notebook": {"fresh environment": ["-m", "benchmarks.fresh_notebook"]},
}
"""What Python is given, step by step."""


def verify(
    target: str, steps: Steps, state: dict[str, Any], run: Run, save: Callable[[], None]
) -> bool:
    """Run the steps of a target that are due; whether all have passed on this commit.

    Args:
        state: what was written down, by target and step; changed in place.
        run: a step's command and the seconds it may take; gives "passed" or what went wrong.
        save: called after each step.
    """
    commit = _commit()
    done = state.setdefault(target, {})
    end = time.monotonic() + HOUR
    for name in _due(steps, done, commit):
        left = end - time.monotonic()
        if left <= 0:
            break
        started = time.monotonic()
        result = run(steps[name], left)
        done[name] = {
            "result": result,
            "seconds": round(time.monotonic() - started),
            "date": dt.date.today().isoformat(),
            "commit": commit,
        }
        save()
    return all(_passed_on(commit, done.get(name)) for name in steps)


def _due(steps: Steps, done: Mapping[str, Any], commit: str) -> list[str]:
    """The steps to run, in their order: first what never ran, then what failed, then what passed
    longest ago on another commit; all where all passed on this one.
    """
    due = [name for name in steps if not _passed_on(commit, done.get(name))] or list(steps)

    def rank(name: str) -> tuple[int, str]:
        last = done.get(name)
        if last is None:
            return (0, "")
        return (2, last["date"]) if last["result"] == "passed" else (1, "")

    return sorted(due, key=rank)


def _passed_on(commit: str, last: Mapping[str, Any] | None) -> bool:
    return last is not None and last["result"] == "passed" and last["commit"] == commit


def page(state: Mapping[str, Any]) -> str:
    """`docs/results/verified.md`."""
    rows = []
    for target, steps in TARGETS.items():
        done = {name: one for name, one in state.get(target, {}).items() if name in steps}
        command = f"`make verify-{target}`"
        if not done:
            rows.append(f"| {target} | {command} | never run | | | |")
            continue
        failed = [f"{n}: {one['result']}" for n, one in done.items() if one["result"] != "passed"]
        passed = len(done) - len(failed)
        result = "passed" if passed == len(steps) else f"{passed} of {len(steps)} passed"
        result = "; ".join([result, *failed])
        minutes = f"{sum(one['seconds'] for one in done.values()) / 60:.1f} min"
        dates = sorted({one["date"] for one in done.values()})
        date = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
        commits = ", ".join(sorted({one["commit"] for one in done.values()}))
        rows.append(f"| {target} | {command} | {result} | {date} | {minutes} | {commits} |")
    return "\n".join(
        [
            "# Verified",
            "",
            "What `make test` leaves out because it takes longer. Each target runs alone, goes on"
            " after a stop, and takes an hour at most at a time; `make verify` runs all. Of every"
            " step the last result counts, with its commit. Written by `python -m"
            " benchmarks.verify`.",
            "",
            "| target | command | last result | date | duration | commits |",
            "| --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )


def _commit() -> str:
    said = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip() or "no checkout"


def _run(command: Sequence[str], seconds: float) -> str:
    print("$", "python", *command, flush=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=environment, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return "ended after its hour"
    return "passed" if done.returncode == 0 else f"failed with code {done.returncode}"


def _write(file: Path, text: str) -> None:
    """Whole or not at all: a stop may come at any moment."""
    partial = file.with_suffix(f"{file.suffix}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)


def main(names: Sequence[str]) -> int:
    if unknown := [name for name in names if name not in TARGETS]:
        print(f"There is no target {unknown[0]!r}; there are {', '.join(TARGETS)}.")
        return 2
    state = json.loads(STATE.read_text(encoding="utf-8")) if STATE.is_file() else {}

    def save() -> None:
        _write(STATE, json.dumps(state, indent=1) + "\n")
        _write(PAGE, page(state))

    whole = [verify(name, TARGETS[name], state, _run, save) for name in names or TARGETS]
    return 0 if all(whole) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
