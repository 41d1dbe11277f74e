"""What the hook layer costs on a card, beside a plain forward pass and the way other tools go."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

import workbench as wb
from benchmarks.gpu.models import Bench
from benchmarks.gpu.parity import windows
from benchmarks.gpu.timing import seconds, timed, turns

Lines = list[dict[str, Any]]
Timer = Callable[[Bench, str, str, float], Lines]
"""Gets the models, a model's name, a dtype and the seconds it may take; gives the lines of a
table.
"""
TARGETS = [[5, 77]]


def _plain(model: Any, ids: list[list[int]], last: int = 1) -> Callable[[], object]:
    tokens = torch.tensor(ids, device=model.device)

    @torch.no_grad()
    def forward() -> object:
        return model.module(tokens, use_cache=False, logits_to_keep=last)

    return forward


def _products(model: Any, tokens: int) -> float:
    """Floating-point operations of a forward pass: 2 for each weight of the layers and each
    token.
    """
    weights = sum(p.numel() for block in model.layout.blocks for p in block.module.parameters())
    return 2.0 * weights * tokens


def _speeds(times: dict[str, list[float]], work: dict[str, float]) -> dict[str, float]:
    return {name: work[name] / statistics.median(times[name]) / 1e12 for name in work}


def forward(bench: Bench, name: str, dtype: str, limit: float) -> Lines:
    """A forward pass of one prompt and of a batch: what everything else is compared with."""
    model, (one, many) = bench.model(name, dtype), ((32, 2) if bench.tiny else (256, 16))
    sizes = {
        f"{one} tokens": bench.prompts(1, one),
        f"{many} × {one} tokens": bench.prompts(many, one),
    }
    times = turns({what: _plain(model, ids) for what, ids in sizes.items()}, bench.device, limit)
    work = {what: _products(model, sum(map(len, ids))) for what, ids in sizes.items()}
    return timed(times, f"{one} tokens", tflops=_speeds(times, work))


def capture(bench: Bench, name: str, dtype: str, limit: float) -> Lines:
    """z and resid_post of every layer; all of them, and reduced on the card."""
    model, length = bench.model(name, dtype), 32 if bench.tiny else 256
    ids, sites = bench.prompts(1, length), ["z", "resid_post"]
    unit = "plain forward pass"
    jobs: dict[str, Callable[[], object]] = {
        unit: _plain(model, ids),
        "own hooks, values left on the card": lambda: _own_hooks(model, ids, fetch=False),
        "own hooks, each value fetched": lambda: _own_hooks(model, ids, fetch=True),
        "capture": lambda: wb.capture(model, ids, sites),
        "capture as bfloat16": lambda: wb.capture(model, ids, sites, dtype="bfloat16"),
        "capture, last position": lambda: wb.capture(model, ids, sites, positions=[-1]),
        "capture, norms": lambda: wb.capture(model, ids, sites, reduce="norm"),
        "capture, mean over positions": lambda: wb.capture(model, ids, sites, reduce="mean"),
        "capture, 8 largest of each pattern row": lambda: wb.capture(
            model, ids, "pattern", reduce="topk:8"
        ),
        "capture, entropy of each pattern row": lambda: wb.capture(
            model, ids, "pattern", reduce="entropy"
        ),
    }
    return timed(turns(jobs, bench.device, limit), unit)


def capture_batch(bench: Bench, name: str, dtype: str, limit: float) -> Lines:
    """The same of many prompts in one batch."""
    model, (many, length) = bench.model(name, dtype), ((4, 16) if bench.tiny else (16, 256))
    ids, sites, unit = bench.prompts(many, length), ["z", "resid_post"], "plain forward pass"
    size = many * length
    jobs: dict[str, Callable[[], object]] = {
        unit: _plain(model, ids),
        "own hooks, values left on the card": lambda: _own_hooks(model, ids, fetch=False),
        "capture": lambda: wb.capture(model, ids, sites, batch_tokens=size),
        "capture, last position": lambda: wb.capture(
            model, ids, sites, positions=[-1], batch_tokens=size
        ),
        "capture, norms": lambda: wb.capture(model, ids, sites, reduce="norm", batch_tokens=size),
    }
    return timed(turns(jobs, bench.device, limit), unit)


@torch.no_grad()
def _own_hooks(model: Any, ids: list[list[int]], *, fetch: bool) -> list[torch.Tensor]:
    """What somebody writes by hand: z and resid_post of every layer in a list."""
    kept: list[torch.Tensor] = []

    def keep(x: torch.Tensor) -> None:
        kept.append(x.cpu() if fetch else x)

    handles = []
    for block in model.layout.blocks:
        handles.append(block.out_proj.register_forward_pre_hook(lambda module, args: keep(args[0])))
        handles.append(
            block.module.register_forward_hook(
                lambda module, args, out: keep(out[0] if isinstance(out, tuple) else out)
            )
        )
    try:
        _plain(model, ids)()
    finally:
        for handle in handles:
            handle.remove()
    return kept


def generate(bench: Bench, name: str, dtype: str, limit: float) -> Lines:
    """Continuing a prompt of 64 tokens, with and without interventions, in forward passes a
    second.
    """
    model, many = bench.model(name, dtype), 4 if bench.tiny else 32
    ids = bench.prompts(1, 16 if bench.tiny else 64)[0]
    text = model.tokenizer.decode(ids)
    layer, every = model.n_layers // 2, model.heads()
    trace = wb.capture(model, [model.tokens(text)], ["z", "resid_post"])
    vector = torch.ones(model.layout.d_model, device=model.device)
    changes: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "nothing changed": nullcontext,
        "one head set to zero": lambda: wb.ablate(model, [(layer, 0)]),
        "one head at the last position set to zero": lambda: wb.ablate(
            model, [(layer, 0)], positions=[-1]
        ),
        "a head in every layer set to zero": lambda: wb.ablate(model, every[:: model.n_heads]),
        "a vector added": lambda: wb.add(model, vector, site="resid_post", layers=[layer]),
        "a pattern halved": lambda: wb.scale(model, site="pattern", layers=[layer], factor=0.5),
        "the stream of a layer patched": lambda: wb.patch(
            model, trace, site="resid_post", layers=[layer]
        ),
    }
    passes: dict[str, int] = {}

    def job(what: str) -> None:
        passes[what] = 0
        handle = model.module.register_forward_pre_hook(
            lambda *_: passes.__setitem__(what, passes[what] + 1)
        )
        try:
            with changes[what]():
                model.generate(text, max_new_tokens=many)
        finally:
            handle.remove()

    times = turns({what: lambda what=what: job(what) for what in changes}, bench.device, limit)
    # A change may make the model stop earlier: what counts is the time of one pass.
    each = {what: [t / passes[what] for t in taken] for what, taken in times.items()}
    return timed(each, "nothing changed", passes=passes)


# -- sweeps ----------------------------------------------------------------------------------------


def heads_last(bench: Bench, name: str, dtype: str, limit: float) -> Lines:
    """Every head at the last position set to zero, beside a loop of one hooked forward pass a
    head.
    """
    return _heads(bench, name, dtype, limit, 32 if bench.tiny else 256, "last")


def heads_all(bench: Bench, name: str, dtype: str, limit: float) -> Lines:
    """Every head at all positions set to zero, beside the loop."""
    return _heads(bench, name, dtype, limit, 16 if bench.tiny else 64, "all")


def _heads(bench: Bench, name: str, dtype: str, limit: float, length: int, at: str) -> Lines:
    from benchmarks.sweep import flops

    model, ids, unit = bench.model(name, dtype), bench.prompts(1, length), "plain forward pass"
    heads = model.heads()
    jobs: dict[str, Callable[[], object]] = {
        unit: _plain(model, ids),
        f"sweep, {len(heads)} heads": lambda: wb.sweep(model, ids, TARGETS, positions=at),
        "the same, with 8 times the memory at once": lambda: _roomier(
            lambda: wb.sweep(model, ids, TARGETS, positions=at), 8
        ),
        f"attribution patching, {len(heads)} heads": lambda: wb.sweep(
            model, ids, TARGETS, positions=at, method=wb.Attribution(recheck=0)
        ),
    }
    times = turns(jobs, bench.device, 0.6 * limit)
    swept = f"sweep, {len(heads)} heads"
    lines = timed(
        times, unit, tflops=_speeds(times, {swept: flops(model, at, length, 1, model.n_layers)})
    )
    return [*lines, *_loop(bench, model, ids, at, statistics.median(times[swept]), 0.4 * limit)]


def _roomier(job: Callable[[], object], times: int) -> object:
    """A sweep whose walks hold more variants at once than the memory of a laptop suggests."""
    from hooks.sweeps import runner

    usual = runner.WALK
    runner.WALK = times * usual
    try:
        return job()
    finally:
        runner.WALK = usual


def _loop(
    bench: Bench, model: Any, ids: list[list[int]], at: str, ours: float, limit: float
) -> Lines:
    """One hooked forward pass a head, of as many heads as there is time for, spread over the
    layers; and whether both agree.
    """
    heads = model.heads()
    warm = seconds(lambda: _without(model, ids, heads[0], at), bench.device)
    many = max(2, min(len(heads), int(limit / max(warm, 1e-6))))
    some = heads[:: max(1, len(heads) // many)]
    found: list[torch.Tensor] = []
    took = seconds(
        lambda: found.extend(_without(model, ids, head, at) for head in some), bench.device
    )
    base = _plain(model, ids)().logits[0, -1, TARGETS[0]].float()  # type: ignore[attr-defined]
    looped = (torch.stack(found) - base).cpu()
    swept = torch.as_tensor(wb.sweep(model, ids, TARGETS, positions=at)["effect"].values[0])
    exact = torch.stack([swept[layer, head] for layer, head in some])
    apart = float((looped - exact).abs().max() / base.abs().max())
    each = took / len(some)
    return [
        {
            "what": (
                f"hooked loop, a forward pass a head, {len(some)} of {len(heads)} heads run, time"
                " for all of them"
            ),
            "median_s": each * len(heads),
            "runs": 1,
            "ratio": each * len(heads) / ours,
            "beside": "sweep",
            "apart": apart,
        }
    ]


@torch.no_grad()
def _without(model: Any, ids: list[list[int]], head: tuple[int, int], at: str) -> torch.Tensor:
    """The watched logits with one head set to zero, by a hook on the matrix that reads it."""
    layer, number = head
    columns = slice(number * model.d_head, (number + 1) * model.d_head)

    def zero(module: Any, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        z = args[0].clone()
        z[:, -1 if at == "last" else slice(None), columns] = 0
        return (z, *args[1:])

    handle = model.layout.blocks[layer].out_proj.register_forward_pre_hook(zero)
    try:
        return _plain(model, ids)().logits[0, -1, TARGETS[0]].float()  # type: ignore[attr-defined]
    finally:
        handle.remove()


def other_sweeps(bench: Bench, name: str, dtype: str, limit: float) -> Lines:
    """Layers, neurons, positions, edges, and the estimate of all neurons."""
    model, length = bench.model(name, dtype), 16 if bench.tiny else 128
    ids, other = bench.prompts(1, length), bench.prompts(1, length, seed=1)
    layer, d_mlp = model.n_layers // 2, model.layout.sizes["d_mlp"]
    senders, receiver = model.heads()[: model.n_heads], (model.n_layers - 1, 0)

    def swept(over: Any, **options: Any) -> Callable[[], object]:
        return lambda: wb.sweep(model, ids, TARGETS, over=over, **options)

    jobs: dict[str, Callable[[], object]] = {
        "plain forward pass": _plain(model, ids),
        f"layers, {3 * model.n_layers} parts": swept("layers"),
        f"neurons of one layer, {d_mlp}": swept(wb.Neurons(layers=[layer])),
        f"edges to the logits, {len(model.heads())}": swept("edges"),
        f"edges to one head, 3 × {len(senders)}": swept(wb.Edges([receiver], senders=senders)),
        f"positions of one layer, patched, {length}": swept(
            wb.Positions(layers=[layer]), change=wb.Patch(other)
        ),
        f"all {d_mlp * model.n_layers} neurons, attribution patching": swept(
            "neurons", positions="all", method=wb.Attribution(recheck=0)
        ),
    }
    return timed(turns(jobs, bench.device, limit), "plain forward pass")


# -- gradients and extraction ----------------------------------------------------------------------


def gradients(bench: Bench, name: str, dtype: str, limit: float) -> Lines:
    """Gradients at sites and by weights, beside a plain forward and backward pass."""
    from hooks.metrics import loss

    model, length = bench.model(name, dtype), 16 if bench.tiny else 128
    ids = bench.prompts(1, length)
    text = [model.tokenizer.decode(ids[0])]
    tokens = torch.tensor([model.tokens(text[0])], device=model.device)
    weights, layers = ["W_Q", "W_V", "W_out"], [0, model.n_layers - 1]
    unit = "plain forward and backward pass"

    def backward() -> object:
        given = model.layout.embed(tokens).detach().requires_grad_()
        mask = torch.ones_like(tokens)
        value = loss(model.module(inputs_embeds=given, use_cache=False).logits, tokens, mask).sum()
        return torch.autograd.grad(value, given)

    jobs: dict[str, Callable[[], object]] = {
        unit: backward,
        "by z and resid_post of every layer": lambda: wb.activation_gradients(
            model, text, loss, ["z", "resid_post"]
        ),
        "norms by 3 weights of 2 layers": lambda: wb.gradient_norms(
            model, text, weights=weights, layers=layers
        ),
        "the same, one by one": lambda: wb.gradient_norms(
            model, text, weights=weights, layers=layers, one_by_one=True
        ),
    }
    return timed(turns(jobs, bench.device, limit), unit)


def extraction(bench: Bench, name: str, dtype: str, limit: float) -> Lines:
    """Scoring windows of 50 + 50 tokens, in windows a second, beside one forward pass of a batch
    as large.
    """
    from analyses.measures.sampler import Sampler
    from analyses.measures.scoring import batch_size, score

    model, many = bench.model(name, dtype), 8 if bench.tiny else 256
    some, unit = windows(bench, name, many), "plain forward passes, all logits"
    size = batch_size(model, 50, 50)
    batches = [[[*w.prompt, *w.suffix] for w in some[i : i + size]] for i in range(0, many, size)]

    def plain() -> None:
        for batch in batches:
            _plain(model, batch, last=50)()

    jobs: dict[str, Callable[[], object]] = {
        unit: plain,
        "everything (p_z, membership)": lambda: score(model, some, Sampler(1.0)),
        "greedy extraction only": lambda: score(model, some, Sampler(0), whole=False),
        "greedy extraction, and p_z above e^-20": lambda: score(
            model, some, Sampler(1.0, 40), whole=False, floor=-20.0
        ),
    }
    times = turns(jobs, bench.device, limit)
    rates = {what: many / statistics.median(taken) for what, taken in times.items()}
    return timed(times, unit, windows_per_s=rates)


# -- other tools -----------------------------------------------------------------------------------
