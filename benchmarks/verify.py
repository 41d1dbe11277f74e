"""What takes too long for `make test`: published figures measured again, seeds, sample runs, kills,
peers, and a notebook in a fresh environment.

    python -m benchmarks.verify [TARGET …]        default: all, one after the other

A target is a list of steps, each a command of its own. What has passed is written down at once, so
a target that was stopped goes on where it was; on another commit it starts again. After an hour no
further step of a target begins, and a step still running is ended: the next call goes on.
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
    """Run the steps of a target that have not passed on this commit; whether all have.

    Args:
        state: what was written down, by target; changed in place.
        run: a step's command and the seconds it may take; gives "passed" or what went wrong.
        save: called after each step.
    """
    commit = _commit()
    about = state.get(target)
    if about is None or about["commit"] != commit or _whole(about, steps):
        about = state[target] = {"commit": commit, "steps": {}}
    end = time.monotonic() + HOUR
    for name, command in steps.items():
        if about["steps"].get(name, {}).get("result") == "passed":
            continue
        left = end - time.monotonic()
        if left <= 0:
            break
        started = time.monotonic()
        result = run(command, left)
        about["steps"][name] = {
            "result": result,
            "seconds": round(time.monotonic() - started),
            "date": dt.date.today().isoformat(),
        }
        save()
    return _whole(about, steps)


def _whole(about: Mapping[str, Any], steps: Steps) -> bool:
    return all(about["steps"].get(name, {}).get("result") == "passed" for name in steps)


def page(state: Mapping[str, Any]) -> str:
    """`docs/results/verified.md`."""
    rows = []
    for target, steps in TARGETS.items():
        about = state.get(target)
        command = f"`make verify-{target}`"
        if about is None or not about["steps"]:
            rows.append(f"| {target} | {command} | never run | | | |")
            continue
        done = about["steps"]
        failed = [f"{name}: {one['result']}" for name, one in done.items() if name in steps]
        failed = [line for line in failed if not line.endswith(": passed")]
        passed = sum(one["result"] == "passed" for name, one in done.items() if name in steps)
        result = "passed" if passed == len(steps) else f"{passed} of {len(steps)} passed"
        if failed:
            result += "; " + "; ".join(failed)
        seconds = sum(one["seconds"] for one in done.values())
        date = max(one["date"] for one in done.values())
        minutes = f"{seconds / 60:.1f} min"
        rows.append(f"| {target} | {command} | {result} | {date} | {minutes} | {about['commit']} |")
    return "\n".join(
        [
            "# Verified",
            "",
            "What `make test` leaves out because it takes longer. Each target runs alone, goes on"
            " after a stop, and takes an hour at most at a time; `make verify` runs all. Written by"
            " `python -m benchmarks.verify`.",
            "",
            "| target | command | last result | date | duration | commit |",
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
