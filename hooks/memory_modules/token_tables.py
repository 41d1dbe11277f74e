"""Gemma's table of per-layer token vectors (Gemma 3n, Gemma 4) as a memory: a token of the
vocabulary is a slot, and each token reads its own row, which holds a vector for every layer.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.product_keys import zeroed_rows
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots


def _slots(module: nn.Module) -> MemorySlots:
    assert isinstance(module, nn.Embedding)
    return MemorySlots(module.num_embeddings, value=module.weight.detach())


def _reads(call: MemoryCall) -> MemoryReads:
    ids = call.args[0] if call.args else next(iter(call.kwargs.values()))
    weight = torch.ones_like(ids, dtype=call.output.dtype)[:, :, None, None]
    # The family scales what it looks up, and not the table.
    scale = float(getattr(call.module, "embed_scale", 1.0))
    return MemoryReads(weight, ids[:, :, None, None], scale * weight[..., 0], mass=1.0)


def _off(module: nn.Module, slots: Tensor) -> AbstractContextManager[None]:
    assert isinstance(module, nn.Embedding)
    return zeroed_rows(module.weight, slots)


TOKEN_TABLE = MemoryAdapter(
    "per-layer token table", nn.Embedding, _slots, _reads, zeroed=_off,
    called="embed_tokens_per_layer",
)  # fmt: skip
