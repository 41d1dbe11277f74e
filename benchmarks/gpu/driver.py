"""One process runs rows; another starts it again where it died.

A fault on a card can take the whole process with it, or leave the card refusing everything that
follows. So rows run in a process of their own, which writes down every row before and after; if it
dies, the row it was at has failed, and the next process goes on behind it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import rows
from benchmarks.gpu.machine import describe, exact_float32
from benchmarks.gpu.models import Bench

GRACE = 15.0
"""Seconds after the end of its time in which a process may still finish its row."""
_BROKEN = 3
"""Exit code of a process whose card refuses to go on."""


def drive(folder: Path, options: Sequence[str], seconds: float) -> list[dict[str, Any]]:
    """Run all rows within so many seconds; gives their records in order, those not reached among
    them.

    Args:
        folder: for the log that the processes share; nothing else is written.
        options: passed on to the processes.
    """
    log, end = folder / "rows.jsonl", time.monotonic() + seconds
    log.touch()
    every = [row.name for row in rows.rows()]
    while (left := end - time.monotonic()) > 2:
        before = len(_read(log))
        code, said = _process(log, options, left)
        done = {record["row"] for record in _read(log) if "status" in record}
        begun = [
            record["row"]
            for record in _read(log)
            if "status" not in record and record["row"] not in done
        ]
        for name in begun:
            why = (
                f"Its process died (exit code {code}): {said}"
                if code is not None
                else "Its process did not come to an end."
            )
            _write(
                log, {"row": name, "status": rows.FAILED, "why": why, "lines": [], "seconds": None}
            )
        if code == 0 or code is None:
            break
        if len(_read(log)) == before:  # it died before the first row: so will the next
            _write(
                log,
                {"row": "start", "status": rows.FAILED, "why": said, "lines": [], "seconds": None},
            )
            break
    found = {record["row"]: record for record in _read(log) if "status" in record}
    asked = [name for name in every if name in found or _wanted(name, options)]
    missing = {
        "status": rows.NOT_MEASURED,
        "why": f"Not reached in {seconds:.0f} s.",
        "lines": [],
        "seconds": None,
    }
    by_name = {row.name: row for row in rows.rows()}
    about = {
        name: {key: getattr(by_name[name], key) for key in ("kind", "job", "model", "dtype")}
        for name in asked
    }
    records = [{"row": name, **about[name], **found.get(name, missing)} for name in asked]
    return [
        *records,
        *(
            [found["start"] | {"kind": "start", "job": "", "model": "", "dtype": ""}]
            if "start" in found
            else []
        ),
    ]


def _process(log: Path, options: Sequence[str], left: float) -> tuple[int | None, str]:
    """(exit code, last line of what it said on stderr); None for the code if it had to be ended."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.gpu",
        "--worker",
        str(log),
        "--seconds",
        str(left),
        *options,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace")
    try:
        _, said = process.communicate(timeout=left + GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        _, said = process.communicate()
        return None, ""
    lines = [line for line in said.splitlines() if line.strip()]
    return process.returncode, lines[-1][:400] if lines else "no word"


def work(log: Path, device: torch.device, tiny: bool, only: str, seconds: float) -> int:
    """The rows that the log does not have yet; called in a process of its own.

    Gives the exit code.
    """
    end = time.monotonic() + seconds
    exact_float32()
    bench = Bench(device, tiny)
    known = {record["row"] for record in _read(log)}
    if "machine" not in known:
        _write(log, {"row": "machine", "about": describe(device)})
    for row in rows.rows():
        left = end - time.monotonic()
        if row.name in known or only not in row.name or left < 2:
            continue
        _write(log, {"row": row.name})
        record = rows.run(row, bench, left)
        print(
            f"{record['status']:>12}  {record['seconds']:6.1f} s  {row.name} "
            f" {record['why'][:160]}",
            flush=True,
        )
        _write(log, record)
        if record["status"] == rows.FAILED and _refuses(device):
            return _BROKEN
    return 0


def _refuses(device: torch.device) -> bool:
    """Whether the card does nothing any more: after some faults every call fails until the
    process ends.
    """
    if device.type != "cuda":
        return False
    try:
        return float(torch.ones(2, device=device).sum()) != 2.0
    except RuntimeError:
        return True


def _wanted(name: str, options: Sequence[str]) -> bool:
    return "--only" not in options or options[list(options).index("--only") + 1] in name


def _read(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def machine_of(folder: Path) -> dict[str, Any]:
    """What the processes said of the machine; {} if none came so far."""
    return next(
        (record["about"] for record in _read(folder / "rows.jsonl") if record["row"] == "machine"),
        {},
    )


def _write(log: Path, record: dict[str, Any]) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
        file.flush()
