"""Medians of jobs that take turns, as long as there is time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

AT_LEAST, AT_MOST = 3, 25


def wait(device: torch.device) -> None:
    """Until the card has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(job: Callable[[], object], device: torch.device) -> float:
    """One run, from a card that has nothing to do until it has nothing to do again."""
    wait(device)
    start = time.perf_counter()
    kept = job()
    wait(device)
    took = time.perf_counter() - start
    del kept  # giving memory back is not part of the job, nor of the next one
    return took


def turns(
    jobs: Mapping[str, Callable[[], object]], device: torch.device, limit: float
) -> dict[str, list[float]]:
    """Seconds of each job.

    One run of each warms up; then they take turns, so that a slow moment hits all of them.

    Args:
        limit: seconds after which no other round begins, once each job was run `AT_LEAST` times or
            the limit is passed twice over (a job may be slow; then there are fewer runs, and the
            page says how many).
    """
    start = time.perf_counter()
    for job in jobs.values():
        seconds(job, device)
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(AT_MOST):
        spent = time.perf_counter() - start
        if number and spent > (limit if number >= AT_LEAST else 2 * limit):
            break
        for name, job in jobs.items():
            times[name].append(seconds(job, device))
    return times


def timed(
    times: Mapping[str, list[float]], unit: str, **about: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Lines of a table: medians, the number of runs, and how many times the median of `unit` they
    are.

    Args:
        about: name of a further column -> value by job.
    """
    base = statistics.median(times[unit])
    lines = []
    for name, taken in times.items():
        median = statistics.median(taken)
        line: dict[str, Any] = {
            "what": name,
            "median_s": median,
            "runs": len(taken),
            "ratio": median / base,
            "beside": unit,
        }
        lines.append(
            line | {column: values[name] for column, values in about.items() if name in values}
        )
    return lines
