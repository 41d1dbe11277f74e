"""LoRA adapters of PEFT as a memory: a direction is a slot, its row of A the key, its scaled column
of B the value. Domain adapters are told apart by `source`.
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


def is_lora(module: nn.Module) -> bool:
    """Whether it is a layer with LoRA adapters of PEFT around it, of the plain kind."""
    parts = ("lora_A", "lora_B", "base_layer", "scaling")
    has = all(hasattr(module, name) for name in parts)
    return has and isinstance(module.get_submodule("base_layer"), nn.Linear)


def _lora_slots(module: nn.Module) -> MemorySlots:
    """Directions of all active adapters: key is the row of A, value the scaled column of B."""
    keys, values, source = [], [], []
    for name in _active(module):
        a, b, scale = _lora(module, name)
        keys.append(a)
        values.append(scale * b.T)
        source += [name] * len(a)
    if not keys:
        return MemorySlots(0)
    key, value = torch.cat(keys).detach(), torch.cat(values).detach()
    return MemorySlots(len(key), key, value, source=source)


def _lora_reads(call: MemoryCall) -> MemoryReads:
    held = _lora_slots(call.module)
    x = call.args[0]
    x = x if x.dim() == 3 else x[None]
    assert held.key is not None
    weight = (x @ held.key.T.to(x))[:, :, None]
    return MemoryReads(weight, score=weight, query=x[:, :, None])


def _lora_rest(call: MemoryCall) -> Tensor:
    plain: Tensor = call.module.get_submodule("base_layer").forward(call.args[0])
    return plain


@contextmanager
def _lora_off(module: nn.Module, which: Tensor) -> Iterator[None]:
    start = 0
    with ExitStack() as stack:
        for name in _active(module):
            _, b, _ = _lora(module, name)
            own = which[(which >= start) & (which < start + b.shape[1])] - start
            stack.enter_context(zeroed_rows(b.T, own))
            start += b.shape[1]
        yield


def _active(module: nn.Module) -> list[str]:
    named: Any = module
    if getattr(named, "disable_adapters", False) or getattr(named, "merged", False):
        return []
    return [name for name in named.active_adapters if name in named.lora_A]


def _lora(module: nn.Module, name: str) -> tuple[Tensor, Tensor, float]:
    named: Any = module
    return named.lora_A[name].weight, named.lora_B[name].weight, float(named.scaling[name])


LORA = MemoryAdapter(
    "LoRA adapters", is_lora, _lora_slots, _lora_reads, rest=_lora_rest, zeroed=_lora_off
)
