"""Blocks of the past that every layer looks up (InfLLM, Xiao et al. 2024): a few tokens stand for
each block, and the mean query of what is asked chooses among them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.kv_cache.attention_received import attention_received
from hooks.kv_cache.budget import SINKS

if TYPE_CHECKING:
    from hooks.kv_cache.budget import Kept
    from hooks.kv_cache.context_memory import ContextMemory, LayerMemory
    from hooks.kv_cache.rotary import Rotary

Blocks = Sequence[tuple[int, int]]
"""(first position, behind the last) of each block, in reading order."""
REPRESENTATIVES = 4
Behind = Mapping[int, tuple[Float[Tensor, "kv_head n d_head"], Float[Tensor, "head n d_head"]]]
"""Keys and queries of what is asked, by layer, as `question_keys` gives them."""


@dataclass(frozen=True)
class LookUp:
    """What is always seen, and how much is fetched.

    Attributes:
        first: where blocks begin; what stands before is always seen.
        local: newest tokens that are always seen.
        tokens: of the blocks that are fetched, at most.
        contiguity: share of these tokens that goes to the neighbours of what was fetched (EM-LLM).
    """

    local: int
    tokens: int
    first: int = SINKS
    contiguity: float = 0.0


def fixed_blocks(first: int, last: int, size: int) -> list[tuple[int, int]]:
    """Blocks of one size from `first` to before `last`; the last may be shorter."""
    return [(at, min(at + size, last)) for at in range(first, last, size)]


def block_keys(
    context: ContextMemory, layer: int, blocks: Blocks, local: int
) -> Float[Tensor, "block kv_head d_head"]:
    """What stands for each block in a layer: the mean of the keys, before positions, that got most
    attention from the `local` tokens behind them.
    """
    memory, turn = context.layers[layer], context.rotary.get(layer)
    got = attention_received(memory.keys, memory.queries * memory.scaling, local).mean(0)
    keys = _plain(memory.keys, turn, 0)
    found = []
    for first, last in blocks:
        best = got[first:last].topk(min(REPRESENTATIVES, last - first)).indices + first
        found.append(keys[:, best].mean(1))
    return torch.stack(found)


def block_scores(
    context: ContextMemory, layer: int, keys: Float[Tensor, "block kv_head d_head"], behind: Behind
) -> Float[Tensor, " block"]:
    """Mean query of what is asked times each block's key, summed over heads: one decision for all
    heads of a layer.
    """
    queries = _plain(behind[layer][1], context.rotary.get(layer), len(context)).mean(1)
    return torch.einsum("bgd,ghd->b", keys, queries.view(keys.shape[1], -1, keys.shape[2]))


def fetched(scores: Float[Tensor, " block"], blocks: Blocks, look_up: LookUp) -> list[int]:
    """Which blocks are fetched: the best that fit, then neighbours of these, as far as tokens are
    set aside for them.
    """
    order = scores.argsort(descending=True, stable=True).tolist()
    sizes = [last - first for first, last in blocks]
    alike = look_up.tokens - math.floor(look_up.contiguity * look_up.tokens)
    chosen: list[int] = []
    room = _take(order, sizes, alike, chosen)
    if look_up.contiguity:
        near = [n for hit in list(chosen) for n in (hit + 1, hit - 1) if 0 <= n < len(blocks)]
        _take(near, sizes, room + look_up.tokens - alike, chosen)
    return sorted(chosen)


def _take(order: Sequence[int], sizes: Sequence[int], room: int, into: list[int]) -> int:
    """Put what fits into a list; gives the room that is left."""
    for block in order:
        if block not in into and sizes[block] <= room:
            into.append(block)
            room -= sizes[block]
    return room


def block_mask(
    context: ContextMemory, chosen: Mapping[int, Sequence[int]], blocks: Blocks, look_up: LookUp
) -> Kept:
    """What a question sees: the first tokens, the newest, and by layer the blocks fetched."""
    masks = {}
    for layer, memory in context.layers.items():
        seen = torch.zeros(len(context), dtype=torch.bool, device=memory.keys.device)
        seen[: look_up.first] = True
        seen[len(context) - look_up.local :] = True
        for block in chosen[layer]:
            seen[slice(*blocks[block])] = True
        masks[layer] = (seen & memory.held()).expand(memory.keys.shape[0], -1).clone()
    return masks


def attention_mass(
    context: ContextMemory, layer: int, blocks: Blocks, behind: Behind
) -> Float[Tensor, " block"]:
    """Share of the question's attention, over the whole cache, that each block gets; mean over
    heads and tokens.
    """
    memory: LayerMemory = context.layers[layer]
    keys = torch.cat([memory.keys, behind[layer][0]], 1)
    queries = behind[layer][1]
    got = attention_received(keys, queries * memory.scaling, memory.window).mean(0)
    return torch.stack([got[first:last].sum() for first, last in blocks]) / queries.shape[1]


def _plain(
    x: Float[Tensor, "head pos d_head"], turn: Rotary | None, first: int
) -> Float[Tensor, "head pos d_head"]:
    """Keys or queries before positions were turned in; as they are where nothing is known."""
    if turn is None:
        return x.float()
    return turn.turn(x.float(), -torch.arange(first, first + x.shape[1], device=x.device))
