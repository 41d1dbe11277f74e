"""Which rows there are, in order of worth, and running one of them."""

from __future__ import annotations

import gc
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.gpu import machine, parity, timers
from benchmarks.gpu.models import LLAMA, PLANTED, Bench

PASSED, FAILED, MEASURED, NOT_MEASURED = "passed", "failed", "measured", "not measured"


@dataclass(frozen=True)
class Row:
    """One thing that is compared or measured.

    Attributes:
        kind: "limits", "parity" or "time".
        job: a name in `parity.JOBS` or `speed.TIMERS`.
        seconds: it should take no longer on a card; after three times as many it is stopped.
    """

    kind: str
    job: str
    model: str
    dtype: str
    seconds: float

    @property
    def name(self) -> str:
        return " · ".join(part for part in (self.kind, self.job, self.model, self.dtype) if part)


def rows() -> list[Row]:
    """All rows, what is worth most first: parity in float32, then times where cards are used,
    then everything else.
    """
    found = [Row("limits", "the card's own", "", "", 6)]
    found += [Row("parity", job, PLANTED, "float32", 10) for job in parity.JOBS]
    found += [Row("time", job, LLAMA, "bfloat16", limit) for job, limit in _TIMES]
    found += [Row("parity", job, LLAMA, "float32", 15) for job in _COMPARED]
    found += [Row("parity", job, PLANTED, "bfloat16", 8) for job in _COMPARED]
    found += [Row("time", job, LLAMA, "float32", limit) for job, limit in _TIMES]
    found += [Row("parity", job, LLAMA, "bfloat16", 15) for job in _COMPARED]
    found += [Row("time", job, PLANTED, "float32", 5) for job, _ in _TIMES]
    found += [
        Row("time", job, LLAMA, "bfloat16", 12) for job in timers.TIMERS if job.startswith("beside")
    ]
    found += [Row("time", job, PLANTED, "bfloat16", 5) for job, _ in _TIMES]
    return found


_COMPARED = [job for job in parity.JOBS if job != "loading"]
_TIMES = (
    ("forward pass", 3.0),
    ("capture", 5.0),
    ("sweep of heads, last position", 12.0),
    ("sweep of heads, all positions", 14.0),
    ("interventions during generate", 14.0),
    ("other sweeps", 14.0),
    ("capture of a batch", 5.0),
    ("gradients", 6.0),
    ("extraction", 10.0),
)


class TooLong(BaseException):
    """A row was stopped.

    Not an `Exception`: nothing on the way may take it for a failure of its own.
    """


@contextmanager
def _at_most(limit: float) -> Iterator[None]:
    """Raise `TooLong` after so many seconds, as soon as Python has its turn."""

    def stop(*_: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run(row: Row, bench: Bench, left: float) -> dict[str, Any]:
    """The row's record. Whatever goes wrong in it is written down, and the next row can go on.

    Args:
        left: seconds that the whole run has left.
    """
    record: dict[str, Any] = {
        "row": row.name,
        "kind": row.kind,
        "job": row.job,
        "model": row.model,
        "dtype": row.dtype,
    }
    start = time.perf_counter()
    try:
        with _at_most(max(1.0, min(3 * row.seconds + 20, left))):
            lines = _job(row, bench)()
        failed = [line for line in lines if line.get("holds") is False]
        status = FAILED if failed else PASSED if row.kind == "parity" else MEASURED
        record |= {"status": status, "why": "; ".join(map(_said, failed)), "lines": lines}
    except timers.NotHere as why:
        record |= {"status": NOT_MEASURED, "why": f"{why}.", "lines": []}
    except TooLong:
        record |= {
            "status": NOT_MEASURED,
            "why": f"It was stopped after {time.perf_counter() - start:.0f} s.",
            "lines": [],
        }
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.filename.rpartition('/')[2]}:{last.lineno} in {last.name}"
        said = (str(error).strip().splitlines() or [""])[0][:400]
        record |= {
            "status": FAILED,
            "why": f"{type(error).__name__}: {said} ({where})",
            "lines": [],
        }
        record["traceback"] = "".join(traceback.format_exception(error))[-6000:]
    gc.collect()
    if bench.device.type == "cuda":
        torch.cuda.empty_cache()
    return record | {"seconds": round(time.perf_counter() - start, 2)}


def _job(row: Row, bench: Bench) -> Callable[[], list[dict[str, Any]]]:
    if row.kind == "limits":
        return lambda: machine.limits(bench.device, bench.tiny, row.seconds / 2)
    if row.kind == "parity":
        return lambda: parity.compare(bench, row.model, row.dtype, parity.JOBS[row.job])
    limit = 0.05 if bench.tiny else row.seconds
    return lambda: timers.TIMERS[row.job](bench, row.model, row.dtype, limit)


def _said(line: dict[str, Any]) -> str:
    if line["difference"] is None:
        return f"{line['what']}: {line['why']}"
    return (
        f"{line['what']}: {line['actual']:.6g} where the CPU has {line['expected']:.6g}, apart by"
        f" {line['difference']:.2g} of {line['scale']:.3g}, at most {line['limit']:.2g} allowed"
    )
