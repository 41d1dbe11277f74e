"""Gated slots (relational memory core, LM2) as a memory that is written while text is read: a call
is a chunk of tokens, which read the slots as they stood before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots
from workbench.memory_lm.gated_slots import SlotCell


def _slots(module: nn.Module) -> MemorySlots:
    """Values are (batch, 1, slot, d_model), one for all heads."""
    assert isinstance(module, SlotCell)
    held = module.start_slots[None] if module.held is None else module.held
    return MemorySlots(
        held.shape[1], module.keys().detach(), held.detach().clone()[:, None], "recurrent"
    )


def _reads(call: MemoryCall) -> MemoryReads:
    assert isinstance(call.module, SlotCell)
    with torch.no_grad():
        read = call.module.look_up(call.args[0])
        score = torch.einsum("bphd,hsd->bphs", read.query, call.module.keys())
    return MemoryReads(
        read.weight, gate=read.gate, mass=1.0, score=score, query=read.query.detach()
    )


def _restore(module: nn.Module, slots: MemorySlots) -> None:
    assert isinstance(module, SlotCell)
    assert slots.value is not None
    module.held = slots.value[:, 0].clone()


@contextmanager
def _off(module: nn.Module, slots: Tensor) -> Iterator[None]:
    """What the chunk reads is taken with these slots empty; it writes as it would."""
    assert isinstance(module, SlotCell)

    def without(cell: nn.Module, args: tuple[Any, ...], out: Tensor) -> Tensor:
        read = module.look_up(args[0])
        kept = before[0].clone()
        kept[:, slots] = 0
        return ((read.weight @ kept[:, None]) * read.gate[..., None]).flatten(2)

    def remember(cell: nn.Module, args: tuple[Any, ...]) -> None:
        before[0] = module.start_slots[None] if module.held is None else module.held

    before = [module.start_slots[None]]
    handles = [
        module.register_forward_pre_hook(remember),
        module.register_forward_hook(without),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


GATED_SLOTS = MemoryAdapter(
    "gated slots", SlotCell, _slots, _reads, joins="concat", zeroed=_off, restore=_restore
)
