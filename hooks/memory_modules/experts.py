"""A mixture of experts as a memory: an expert is a slot, the router's row its key, its weight the
read. What an expert brings depends on the token, so there is no table of values.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import torch
from torch import Tensor, nn

from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots

_INDEX = {"top_k_index", "router_indices"}
_WEIGHT = {"top_k_weights", "routing_weights"}


def is_experts(module: nn.Module) -> bool:
    """Whether it is the experts of a mixture as `transformers` keeps them: one module, which is
    told the experts of each token and their weights.
    """
    if not hasattr(module, "num_experts"):
        return False
    names = set(inspect.signature(type(module).forward).parameters)
    return bool(names & _INDEX) and bool(names & _WEIGHT)


def _given(call: MemoryCall) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states (token, d_model), experts and weights (token, read)."""
    bound = inspect.signature(type(call.module).forward).bind(
        call.module, *call.args, **call.kwargs
    )
    named = dict(bound.arguments)
    hidden = named["hidden_states"]
    index = next(named[name] for name in _INDEX if name in named)
    weight = next(named[name] for name in _WEIGHT if name in named)
    if weight.shape != index.shape:  # a weight for every expert, most of them nothing
        weight = weight.gather(-1, index)
    return hidden.reshape(-1, hidden.shape[-1]), index, weight


def _reads(call: MemoryCall) -> MemoryReads:
    hidden, index, weight = _given(call)
    # An expert is asked alone, with a weight of one: whatever it computes inside.
    one = torch.ones_like(weight[:, :1])
    with torch.no_grad():
        brought = [
            _alone(call.module, hidden, index[:, read : read + 1], one)
            for read in range(index.shape[1])
        ]
    value = torch.stack(brought, 1)
    return MemoryReads(weight[None, :, None], index[None, :, None], value=value[None, :, None])


def _alone(module: nn.Module, hidden: Tensor, index: Tensor, one: Tensor) -> Tensor:
    out: Tensor = module.forward(hidden, index, one)  # not called, so that hooks do not see it
    return out


def _slots(module: nn.Module) -> MemorySlots:
    return MemorySlots(int(cast("int", module.num_experts)), space="function")


@contextmanager
def _off(module: nn.Module, slots: Tensor) -> Iterator[None]:
    """Inside, these experts write nothing: their last matrices are zero."""
    matrices = [p for name, p in module.named_parameters() if name.startswith("down_proj")]
    saved = [p.detach()[slots].clone() for p in matrices]
    with torch.no_grad():
        for p in matrices:
            p[slots] = 0
    try:
        yield
    finally:
        with torch.no_grad():
            for p, was in zip(matrices, saved, strict=True):
                p[slots] = was


EXPERTS = MemoryAdapter("mixture of experts", is_experts, _slots, _reads, zeroed=_off)
