"""Memories small enough to be computed by hand, and a memory that is written while it is read."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from hooks.memory_modules import MemoryAdapter, MemoryCall, MemoryReads, MemorySlots
from hooks.memory_modules.product_keys import PRODUCT_KEYS


class TopSlots(nn.Module):
    """Two heads read the two best of six slots and are added; keeps what it read."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.keys = nn.Parameter(torch.randn(2, 6, 4, generator=draw))
        self.values = nn.Parameter(torch.randn(6, 8, generator=draw))

    def forward(self, x: Tensor) -> Tensor:
        query = x.unflatten(-1, (2, 4))
        score = torch.einsum("bphd,hsd->bphs", query, self.keys)
        best, self.last_index = score.topk(2, -1)
        self.last_weight = best.softmax(-1)
        out: Tensor = (self.last_weight[..., None] * self.values[self.last_index]).sum((2, 3))
        return out


def top_slots_adapter(**wrong: object) -> MemoryAdapter:
    """The right adapter; what is given stands in place of its parts."""
    parts = {
        "name": "top slots",
        "applies": TopSlots,
        "slots": lambda module: MemorySlots(6, module.keys.detach(), module.values.detach()),
        "reads": reads_of_top,
        "zeroed": zeroed_values,
    }
    return MemoryAdapter(**{**parts, **wrong})  # type: ignore[arg-type]


def reads_of_top(call: MemoryCall) -> MemoryReads:
    query = call.args[0].unflatten(-1, (2, 4))
    score = torch.einsum("bphd,hsd->bphs", query, call.module.keys)
    best, index = score.detach().topk(2, -1)
    return MemoryReads(best.softmax(-1), index, mass=1.0, score=best, query=query.detach())


class zeroed_values:  # used as a function
    def __init__(self, module: nn.Module, slots: Tensor) -> None:
        self.table, self.slots = module.values, slots

    def __enter__(self) -> None:
        self.was = self.table.detach()[self.slots].clone()
        with torch.no_grad():
            self.table[self.slots] = 0

    def __exit__(self, *raised: object) -> None:
        with torch.no_grad():
            self.table[self.slots] = self.was


class Notebook(nn.Module):
    """Four slots in a row, written one after the other: each call writes the mean of what it reads.

    `shared` keeps one notebook for all rows of a batch, as a module should not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("page", torch.zeros(4, 3))
        self.next = 0

    def forward(self, x: Tensor) -> Tensor:
        weight = (x @ self.page.T).softmax(-1)
        out: Tensor = weight @ self.page
        page = self.page.clone()
        page[self.next % 4] = x.mean((0, 1))
        self.page, self.next = page, self.next + 1
        return out


def _notebook_reads(call: MemoryCall) -> MemoryReads:
    assert call.before is not None
    assert call.before.value is not None
    weight = (call.args[0] @ call.before.value.T).softmax(-1)
    return MemoryReads(weight[:, :, None], mass=1.0)


def _notebook_restore(module: nn.Module, slots: MemorySlots) -> None:
    assert isinstance(module, Notebook)
    assert slots.value is not None
    module.page = slots.value.clone()


NOTEBOOK = MemoryAdapter(
    "notebook",
    Notebook,
    lambda module: MemorySlots(4, value=module.page.clone(), space="recurrent"),  # type: ignore[operator]
    _notebook_reads,
    restore=_notebook_restore,
)


def _half_read(call: MemoryCall) -> MemoryReads:
    reads = PRODUCT_KEYS.reads(call)
    return replace(reads, weight=reads.weight / 2)


WRONG_PRODUCT_KEYS = replace(PRODUCT_KEYS, reads=_half_read)
"""Says that half of each value is read."""
