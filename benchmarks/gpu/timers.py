"""Every row's timer by its name, and the peers beside our capture in the same run."""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch

import workbench as wb
from benchmarks.gpu.models import Bench
from benchmarks.gpu.speed import (
    TARGETS,
    Lines,
    Timer,
    _own_hooks,
    _plain,
    capture,
    capture_batch,
    extraction,
    forward,
    generate,
    gradients,
    heads_all,
    heads_last,
    other_sweeps,
)
from benchmarks.gpu.timing import seconds, timed, turns


class NotHere(Exception):
    """A tool that is compared is not installed; the sentence says so."""


def _needed(package: str) -> None:
    if find_spec(package) is None:
        raise NotHere(f"{package} is not installed")


def transformer_lens(bench: Bench, name: str, dtype: str, limit: float) -> Lines:
    """TransformerLens: its loop of `run_with_hooks` over heads, as many as there is time for."""
    _needed("transformer_lens")
    from hooks.backends.transformer_lens import bridge_of

    model, ids = bench.model(name, dtype), bench.prompts(1, 32 if bench.tiny else 256)
    peer, tokens, heads = bridge_of(model), torch.tensor(ids, device=model.device), model.heads()

    @torch.no_grad()
    def without(layer: int, head: int) -> object:
        def zero(z: torch.Tensor, hook: Any) -> torch.Tensor:
            z[:, -1, head] = 0
            return z

        return peer.run_with_hooks(tokens, fwd_hooks=[(f"blocks.{layer}.attn.hook_z", zero)])

    ours = f"sweep, {len(heads)} heads"
    times = turns(
        {"plain forward pass": _plain(model, ids), ours: lambda: wb.sweep(model, ids, TARGETS)},
        bench.device,
        limit / 2,
    )
    each = [
        seconds(lambda h=head: without(*h), bench.device)
        for head in [heads[0], *heads[:: max(1, len(heads) // 8)]]
    ][1:]
    theirs = f"TransformerLens loop, {len(each)} of {len(heads)} heads run, time for all of them"
    return timed(times | {theirs: [sum(each) / len(each) * len(heads)]}, ours)


def nnsight(bench: Bench, name: str, dtype: str, limit: float) -> Lines:
    """nnsight: a trace that saves z and resid_post of every layer, which stay on the card."""
    _needed("nnsight")
    from nnsight import TransformersModel

    model, ids = bench.model(name, dtype), bench.prompts(1, 32 if bench.tiny else 256)
    text = model.tokenizer.decode(ids[0])
    peer = TransformersModel(
        copy.deepcopy(model.module), task="text-generation", tokenizer=model.tokenizer
    )
    same = [model.tokens(text)]

    @torch.no_grad()
    def trace() -> None:
        with peer.trace(text, logits_to_keep=1):
            kept = []
            for layer in peer.model.layers:
                kept.append(layer.self_attn.o_proj.input.save())
                kept.append(layer.output.save())

    jobs: dict[str, Callable[[], object]] = {
        "plain forward pass": _plain(model, same),
        "capture": lambda: wb.capture(model, same, ["z", "resid_post"]),
        "own hooks, values left on the card": lambda: _own_hooks(model, same, fetch=False),
        "nnsight trace, values left on the card": trace,
    }
    return timed(turns(jobs, bench.device, limit), "plain forward pass")


TIMERS: dict[str, Timer] = {
    "forward pass": forward,
    "capture": capture,
    "capture of a batch": capture_batch,
    "interventions during generate": generate,
    "sweep of heads, last position": heads_last,
    "sweep of heads, all positions": heads_all,
    "other sweeps": other_sweeps,
    "gradients": gradients,
    "extraction": extraction,
    "beside nnsight": nnsight,
    "beside TransformerLens": transformer_lens,
}
