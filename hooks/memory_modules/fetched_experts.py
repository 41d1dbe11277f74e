"""Experts of one neuron that are fetched by product keys (PEER, He 2024): an expert is a slot, its
outward row the value, and what is read is the score's weight times what its neuron fires.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.product_keys import paired_keys, zeroed_rows
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots
from workbench.memory_lm.expert_retrieval import ExpertRetrieval


def _slots(module: nn.Module) -> MemorySlots:
    assert isinstance(module, ExpertRetrieval)
    key = paired_keys(module.keys[:, 0], module.keys[:, 1])
    return MemorySlots(module.side**2, key.detach(), module.values.weight.detach())


def _reads(call: MemoryCall) -> MemoryReads:
    assert isinstance(call.module, ExpertRetrieval)
    with torch.no_grad():
        read = call.module.look_up(call.args[0])
    return MemoryReads(read.weight, read.index, score=read.score, query=read.query.flatten(-2))


def _off(module: nn.Module, slots: Tensor) -> AbstractContextManager[None]:
    assert isinstance(module, ExpertRetrieval)
    return zeroed_rows(module.values.weight, slots)


EXPERT_RETRIEVAL = MemoryAdapter(
    "retrieval of experts", ExpertRetrieval, _slots, _reads, zeroed=_off
)
