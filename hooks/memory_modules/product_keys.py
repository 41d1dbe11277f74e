"""Product-key memory, our own; that of the package `product-key-memory` is in packages.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots
from workbench.memory_lm.product_keys import ProductKeyMemory


def _slots(module: nn.Module) -> MemorySlots:
    assert isinstance(module, ProductKeyMemory)
    key = paired_keys(module.keys[:, 0], module.keys[:, 1])
    return MemorySlots(module.side**2, key.detach(), module.values.weight.detach(), "learned")


def paired_keys(
    first: Float[Tensor, "head n d_half"], second: Float[Tensor, "head n d_half"]
) -> Float[Tensor, "head slot d_key"]:
    """Slot i × n + j has the i-th first half and the j-th second one."""
    side = first.shape[1]
    return torch.cat([first.repeat_interleave(side, 1), second.repeat(1, side, 1)], -1)


def _reads(call: MemoryCall) -> MemoryReads:
    assert isinstance(call.module, ProductKeyMemory)
    with torch.no_grad():
        read = call.module.look_up(call.args[0])
    return MemoryReads(
        read.weight, read.index, mass=1.0, score=read.score, query=read.query.flatten(-2)
    )


@contextmanager
def zeroed_rows(table: Tensor, slots: Tensor) -> Iterator[None]:
    """Inside, these rows of a table are zero."""
    was = table.detach()[slots].clone()
    with torch.no_grad():
        table[slots] = 0
    try:
        yield
    finally:
        with torch.no_grad():
            table[slots] = was


def _off(module: nn.Module, slots: Tensor) -> AbstractContextManager[None]:
    assert isinstance(module, ProductKeyMemory)
    return zeroed_rows(module.values.weight, slots)


PRODUCT_KEYS = MemoryAdapter(
    "product-key memory",
    ProductKeyMemory,
    _slots,
    _reads,
    zeroed=_off,
)
