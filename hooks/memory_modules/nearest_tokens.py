"""A memory of all tokens of a text, of which each reads the nearest (Wu et al. 2022): a slot is a
token, its number the token's position.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots
from workbench.memory_lm.nearest_tokens import NearestReads, TokenReading


def _slots(module: nn.Module) -> MemorySlots:
    """Those of the text that was read last."""
    assert isinstance(module, TokenReading)
    read = module.last
    if read is None:
        return MemorySlots(0, space="token position")
    return MemorySlots(read.key.shape[2], read.key, read.value, "token position")


def _reads(call: MemoryCall) -> MemoryReads:
    read: NearestReads = call.args[0]
    # The first tokens have nothing behind them that is far enough back.
    mass = torch.isfinite(read.score).any(-1).to(read.weight)
    return MemoryReads(read.weight, read.index, read.gate, mass)


@contextmanager
def _off(module: nn.Module, slots: Tensor) -> Iterator[None]:
    def forget(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        value = args[0].value.clone()
        value[:, :, slots] = 0
        return (replace(args[0], value=value),)

    handle = module.register_forward_pre_hook(forget)
    try:
        yield
    finally:
        handle.remove()


NEAREST_TOKENS = MemoryAdapter(
    "memory of tokens", TokenReading, _slots, _reads, joins="concat", zeroed=_off
)
