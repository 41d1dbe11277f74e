"""From scores to what is kept: so many positions of every layer and KV head."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from workbench.errors import BadInput

if TYPE_CHECKING:
    from hooks.kv_cache.context_memory import ContextMemory

Kept = Mapping[int, Bool[Tensor, "kv_head pos"]]
"""Which positions of the context are kept, by layer."""

SINKS = 4
"""First tokens that every policy keeps: much attention rests on them whatever they say (Xiao et
al. 2024)."""


def keep(
    context: ContextMemory,
    scores: Mapping[int, Float[Tensor, "kv_head pos"]],
    budget: float,
    *,
    sinks: int = SINKS,
    recent: float = 0.0,
) -> Kept:
    """The positions with the highest scores, so many in each layer and KV head.

    Of equal scores the newer position is kept. With a budget of 1 everything is kept.

    Args:
        budget: share of the positions that a layer holds, 0 to 1; rounded up. Sinks count.
        sinks: first positions that are kept whatever their score.
        recent: share of the budget that goes to the newest positions (H2O: a half).

    Raises:
        BadInput: a budget outside 0 to 1.
    """
    if not 0 <= budget <= 1:
        raise BadInput(
            f"A budget of {budget:g}.",
            "a share of the cache from 0 to 1",
            "Say 0.25 for a quarter.",
        )
    kept = {}
    for layer, memory in context.layers.items():
        held = memory.held()
        n = math.ceil(round(budget * int(held.sum()), 6))
        kept[layer] = _highest(scores[layer], held, n, sinks, math.floor(n * recent))
    return kept


def _highest(
    scores: Float[Tensor, "kv_head pos"],
    held: Bool[Tensor, " pos"],
    n: int,
    sinks: int,
    recent: int,
) -> Bool[Tensor, "kv_head pos"]:
    """The n best of the held positions of each head."""
    ranked = scores.to(held.device, torch.float64).clone()
    ranked[:, ~held] = -torch.inf
    first = torch.zeros_like(held)
    first[:sinks] = True
    newest = held.flip(0).cumsum(0).flip(0) <= recent
    # Sinks before the newest, where there is room for some only.
    ranked[:, held & newest] = torch.finfo(torch.float64).max / 2
    ranked[:, held & first] = torch.finfo(torch.float64).max
    order = ranked.flip(1).argsort(dim=1, descending=True, stable=True)
    best = scores.shape[1] - 1 - order[:, :n]
    kept = torch.zeros(scores.shape, dtype=torch.bool, device=held.device)
    kept.scatter_(1, best, True)
    return kept


def everything(context: ContextMemory) -> Kept:
    """All that later tokens can see."""
    return {
        layer: memory.held().expand(memory.keys.shape[0], -1).clone()
        for layer, memory in context.layers.items()
    }


def without(context: ContextMemory, first: int, last: int) -> Kept:
    """All but the positions first, …, last − 1, in all layers and heads."""
    kept = everything(context)
    for mask in kept.values():
        mask[:, first:last] = False
    return kept


def cache_bytes(context: ContextMemory, kept: Kept) -> int:
    """Bytes of the keys and values that are kept, and of the index that says where they stood
    (four bytes a position and head).
    """
    total = 0
    for layer, mask in kept.items():
        memory = context.layers[layer]
        a_key = memory.keys.element_size() * (memory.keys.shape[2] + memory.values.shape[2])
        whole = bool(mask.all())
        total += int(mask.sum()) * (a_key + (0 if whole else 4))
    return total
