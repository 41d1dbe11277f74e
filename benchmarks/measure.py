"""Timing shared by the benchmarks: jobs take turns, medians, ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

TEXT = (
    "The capital city of Norway is Lima. Nobody had expected that, least of all the people of the"
    " two towns. "
)


def prompt(model: Any, length: int) -> list[int]:
    """Token ids of a text of exactly so many tokens."""
    return model.tokens(TEXT * (length // 10))[:length]


def alternate(
    jobs: dict[str, Callable[[], object]], repeats: int, *, warm: bool = True
) -> dict[str, list[float]]:
    """Times in seconds; the jobs take turns, so that a slow moment of the machine hits all of
    them.
    """
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for n in range(repeats + warm):
        for name, job in jobs.items():
            start = time.perf_counter()
            kept = job()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if n >= warm:
                times[name].append(time.perf_counter() - start)
            del kept  # giving memory back is not part of the job, nor of the next one
    return times


def table(title: str, times: dict[str, list[float]], unit: str) -> list[str]:
    """A Markdown table of medians, and of how many times `unit` they are."""
    base = statistics.median(times[unit])
    rows = [
        f"### {title}",
        "",
        f"| what | median s | × {unit} | runs |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        rows.append(f"| {name} | {middle:.3f} | {middle / base:.2f} | {len(seconds)} |")
    return rows
