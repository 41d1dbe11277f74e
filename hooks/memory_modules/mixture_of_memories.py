"""A mixture of memories (Du et al. 2025) as a memory: each of its states is a slot, the router's
weight the read. What a state brings depends on the query, so there is no table of values.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots
from workbench.state_lm.memories import MemoryMixing


def _is_mixture(module: nn.Module) -> bool:
    """A single state is no choice among memories."""
    return isinstance(module, MemoryMixing) and module.memories > 1


def _slots(module: nn.Module) -> MemorySlots:
    assert isinstance(module, MemoryMixing)
    return MemorySlots(module.memories, space="function")


def _reads(call: MemoryCall) -> MemoryReads:
    weights, read = call.args
    every = torch.arange(weights.shape[-1], device=weights.device)
    return MemoryReads(
        weights[:, :, None],
        every.expand(*weights.shape[:2], 1, -1),
        value=read.flatten(3)[:, :, None],
    )


@contextmanager
def _off(module: nn.Module, slots: Tensor) -> Iterator[None]:
    def silence(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        read = args[1].clone()
        read[:, :, slots] = 0
        return args[0], read

    handle = module.register_forward_pre_hook(silence)
    try:
        yield
    finally:
        handle.remove()


MIXTURE_OF_MEMORIES = MemoryAdapter("mixture of memories", _is_mixture, _slots, _reads, zeroed=_off)
