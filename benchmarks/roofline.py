"""What each kind of work costs beside the least that it could: the floating-point operations it
needs, over the time it takes, over what the machine's own matrix products reach.

    python -m benchmarks roofline

Two limits: the machine's best product (square, 2,048), and products with the model's own matrices
for as many tokens as one prompt has, which no work on this model can beat. Where a row is further
than 1.5 times from the second, a profile says where the time goes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import workbench as wb
from analyses.measures.sampler import Sampler
from analyses.measures.scoring import score
from benchmarks import features
from benchmarks.extraction import PREFIX, SUFFIX, natural_windows
from benchmarks.measure import alternate, prompt
from benchmarks.sweep import TARGETS, flops
from hooks import sweep

LENGTH, SHORT, WINDOWS = 256, 32, 32
FAR = 1.5
"""Times the limit beyond which a row is profiled."""

Job = Callable[[], object]


def tables(model: Any, repeats: int) -> list[str]:
    """One table, and a profile of each row that is far from the limit."""
    jobs = _jobs(model)
    times = alternate({name: job for name, (_, job) in jobs.items()}, repeats)
    best, own = _square_rate(), _own_rate(model, LENGTH)
    lines = [
        f"### Beside the machine's limit: {best / 1e9:.0f} GFLOP/s at best, {own / 1e9:.0f} with"
        f" this model's matrices and {LENGTH} tokens",
        "",
        "| what | needs, GFLOP | median s | GFLOP/s | × the best | × its own matrices |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    far = []
    for name, (needed, job) in jobs.items():
        seconds = statistics.median(times[name])
        rate = needed / seconds
        lines.append(
            f"| {name} | {needed / 1e9:.1f} | {seconds:.3f} | {rate / 1e9:.0f} |"
            f" {best / rate:.2f} | {own / rate:.2f} |"
        )
        if own / rate > FAR:
            far.append(f"- {name}: {_profile(job)}")
    if far:
        lines += ["", f"Where the time of rows goes that are further than {FAR} × from it:", *far]
    return lines


def _jobs(model: Any) -> dict[str, tuple[float, Job]]:
    """By name: floating-point operations that are needed, and what is timed."""
    ids, short = prompt(model, LENGTH), prompt(model, SHORT)
    windows = natural_windows(model, WINDOWS)
    layers = model.n_layers
    tokens = torch.tensor([ids], device=model.device)
    texts = torch.tensor([[*w.prefix, *w.suffix] for w in windows], device=model.device)

    @torch.no_grad()
    def plain() -> object:
        return model.module(tokens, use_cache=False, logits_to_keep=1)

    @torch.no_grad()
    def scored() -> object:
        return model.module(texts, use_cache=False, logits_to_keep=SUFFIX)

    counted = features.jobs(model)[0][features.COUNTED]
    other = short[::-1]
    return {
        f"plain forward pass, {LENGTH} tokens": (_counted(plain), plain),
        "capture of z and resid_post": (
            _counted(plain),
            lambda: wb.capture(model, [ids], sites=["z", "resid_post"]),
        ),
        f"all heads at the last position, {LENGTH} tokens": (
            flops(model, "last", LENGTH, 1, layers),
            lambda: sweep(model, [ids], [TARGETS]),
        ),
        f"all heads at all positions, {SHORT} tokens": (
            flops(model, "all", SHORT, 1, layers),
            lambda: sweep(
                model, [short], [TARGETS], change=wb.Patch([other]), read="logit_diff",
                positions="all",
            ),
        ),
        f"extraction, {WINDOWS} windows of {PREFIX} + {SUFFIX} tokens": (
            _counted(scored),
            lambda: score(model, windows, Sampler(1.0)),
        ),
        # Its own products: fewer layers than the model has, and the encoders.
        "features of three autoencoders, 4,096 tokens": (_counted(counted), counted),
    }  # fmt: skip


def _counted(job: Job) -> float:
    """Floating-point operations of the matrix products in it."""
    with FlopCounterMode(display=False) as counter:
        job()
    return float(counter.get_total_flops())


def _square_rate(size: int = 2048) -> float:
    left, right = torch.randn(size, size), torch.randn(size, size)
    return 2 * size**3 / _fastest(lambda: left @ right)


@torch.no_grad()
def _own_rate(model: Any, rows: int) -> float:
    """Operations a second of one product with each matrix of the layers, one after the other."""
    matrices = [
        weight
        for block in model.layout.blocks
        for weight in block.module.parameters()
        if weight.dim() == 2
    ]
    given = {width: torch.randn(rows, width) for width in {m.shape[1] for m in matrices}}

    def products() -> None:
        for matrix in matrices:
            torch.nn.functional.linear(given[matrix.shape[1]], matrix)

    return 2 * rows * sum(m.numel() for m in matrices) / _fastest(products)


def _fastest(job: Job, times: int = 7) -> float:
    job()
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        job()
        taken.append(time.perf_counter() - started)
    return min(taken)


def _profile(job: Job, most: int = 5) -> str:
    """The operations that take most of its time, each with its share."""
    with torch.profiler.profile() as profile:
        job()
    rows = sorted(profile.key_averages(), key=lambda row: -row.self_cpu_time_total)
    total = sum(row.self_cpu_time_total for row in rows)
    return ", ".join(
        f"{row.key.removeprefix('aten::')} {row.self_cpu_time_total / total:.0%}"
        for row in rows[:most]
    )
