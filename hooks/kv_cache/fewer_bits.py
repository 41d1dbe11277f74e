"""Keys and values rounded to few bits, in groups with a scale and a zero of their own (KIVI, Liu et
al. 2024).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.kv_cache.context_memory import LayerMemory
from workbench.errors import BadInput

Grouping = Literal["kivi", "channel"]
GROUP, NEWEST = 32, 32
"""Numbers that share a scale; newest tokens that stay as they are."""


def rounded(
    x: Float[Tensor, "kv_head pos e"], bits: int, along: Literal["pos", "channel"]
) -> Float[Tensor, "kv_head pos e"]:
    """Numbers rounded to 2^bits steps between the least and the largest of their group.

    Args:
        along: a group is 32 neighbours along this axis: "pos" gives each channel scales of its own,
            "channel" each token.

    Raises:
        BadInput: fewer than 1 bit or more than 8.
    """
    if not 1 <= bits <= 8:
        raise BadInput(f"A cache of {bits} bits.", "1 to 8 bits", "Say 2, 4 or 8.")
    steps = 2**bits - 1
    given = x.transpose(1, 2) if along == "pos" else x
    pieces = []
    for part in given.float().split(GROUP, dim=2):
        low, high = part.amin(2, keepdim=True), part.amax(2, keepdim=True)
        scale = ((high - low) / steps).clamp(min=torch.finfo(torch.float32).tiny)
        pieces.append(((part - low) / scale).round().clamp(0, steps) * scale + low)
    whole = torch.cat(pieces, 2)
    return (whole.transpose(1, 2) if along == "pos" else whole).to(x.dtype)


def round_memory(memory: LayerMemory, bits: int, grouping: Grouping) -> LayerMemory:
    """A layer's cache in few bits; the newest tokens stay as they are.

    Args:
        grouping: "kivi" gives keys scales per channel and values scales per token, "channel" both
            per channel.
    """
    old = max(0, memory.keys.shape[1] - NEWEST)
    keys, values = memory.keys.clone(), memory.values.clone()
    if old:
        keys[:, :old] = rounded(keys[:, :old], bits, "pos")
        of_values: Literal["pos", "channel"] = "channel" if grouping == "kivi" else "pos"
        values[:, :old] = rounded(values[:, :old], bits, of_values)
    return replace(memory, keys=keys, values=values)


def rounded_bytes(memory: LayerMemory, bits: int) -> float:
    """Bytes of a layer's keys and values in so many bits: two 16-bit numbers for each group of 32,
    and the newest tokens in 16 bits.
    """
    heads, n, width = memory.keys.shape
    numbers = heads * (width + memory.values.shape[2])
    old = max(0, n - NEWEST)
    return numbers * (old * (bits / 8 + 4 / GROUP) + (n - old) * 2)


def relative_error(
    before: Float[Tensor, "kv_head pos e"], after: Float[Tensor, "kv_head pos e"]
) -> Float[Tensor, " kv_head"]:
    """‖x − x′‖ over ‖x‖, by KV head."""
    off: Tensor = (before.float() - after.float()).flatten(1).norm(dim=1)
    size: Tensor = before.float().flatten(1).norm(dim=1)
    return off / size
