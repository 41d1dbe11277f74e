"""Every feed-forward layer as a memory (Geva et al. 2021): a neuron is a slot, its row of the first
matrix the key, its column of the last one the value, its activation the weight.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hooks.layout import Block
from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots
from hooks.weights import bias_of, dense_weight

NAME = "feed-forward neurons"


def feed_forward(block: Block) -> tuple[nn.Module, MemoryAdapter] | None:
    """The matrix that writes into the residual stream, as the module whose output is the sum; None
    for a layer that has no such matrix.
    """
    down = block.down_proj
    if down is None:
        return None
    # Of a gated MLP the gate says when a neuron is on; the other matrix scales it.
    first = block.gate if block.gate is not None else block.up

    def slots(module: nn.Module) -> MemorySlots:
        value = dense_weight(module).T
        key = None if first is None else dense_weight(first)
        if key is not None and len(key) != len(value):
            key = None  # gate and up lie in one matrix
        return MemorySlots(len(value), key, value, "learned")

    def rest(call: MemoryCall) -> Tensor:
        bias = bias_of(call.module)
        return torch.zeros_like(call.output) if bias is None else bias.expand_as(call.output)

    adapter = MemoryAdapter(
        NAME, lambda module: module is down, slots, _reads, rest=rest, zeroed=_off, stand_in=True
    )
    return down, adapter


def _reads(call: MemoryCall) -> MemoryReads:
    x = call.args[0]
    rows = x if x.dim() == 3 else x[None]
    return MemoryReads(rows[:, :, None])


@contextmanager
def _off(module: nn.Module, slots: Tensor) -> Iterator[None]:
    def silence(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        x = args[0].clone()
        x[..., slots] = 0
        return (x, *args[1:])

    handle = module.register_forward_pre_hook(silence)
    try:
        yield
    finally:
        handle.remove()
