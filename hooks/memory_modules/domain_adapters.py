"""Adapters of domains beside an MLP, mixed by a gate: an adapter is a slot, the gate the weight of
its read. What an adapter brings depends on the token, so there is no table of values.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.product_keys import zeroed_rows
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots
from workbench.memory_lm.domain_adapters import DomainAdapters


def _slots(module: nn.Module) -> MemorySlots:
    assert isinstance(module, DomainAdapters)
    return MemorySlots(len(module.adapters), space="function")


def _reads(call: MemoryCall) -> MemoryReads:
    assert isinstance(call.module, DomainAdapters)
    with torch.no_grad():
        weight, value = call.module.weights(call.args[0]), call.module.brought(call.args[0])
    every = torch.arange(weight.shape[-1], device=weight.device).expand(weight.shape)
    return MemoryReads(weight[:, :, None], every[:, :, None], mass=1.0, value=value[:, :, None])


def _rest(call: MemoryCall) -> Tensor:
    assert isinstance(call.module, DomainAdapters)
    mlp: Tensor = call.module.mlp.forward(call.args[0])
    return mlp


@contextmanager
def _off(module: nn.Module, slots: Tensor) -> Iterator[None]:
    with ExitStack() as stack:
        for slot in slots.tolist():
            adapter: Any = module.get_submodule(f"adapters.{slot}")
            matrix = adapter.down_proj.weight
            stack.enter_context(zeroed_rows(matrix, torch.arange(len(matrix))))
        yield


DOMAIN_ADAPTERS = MemoryAdapter(
    "mixture of domain adapters", DomainAdapters, _slots, _reads, rest=_rest, zeroed=_off
)
