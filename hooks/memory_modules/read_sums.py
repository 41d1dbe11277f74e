"""What a memory adds to its module's output: the sum of weight × gate × value."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots
from workbench.errors import BadInput


def read_sum(
    adapter: MemoryAdapter,
    slots: MemorySlots,
    reads: MemoryReads,
    like: Float[Tensor, "*rows d_value"],
    chosen: Bool[Tensor, "row slot"] | None = None,
) -> Float[Tensor, "*rows d_value"]:
    """What these slots bring into the module's output.

    Args:
        like: the module's output; the sum has its shape.
        chosen: which slots count, for each batch row, or in one row for all; None is all.
    """
    weight = reads.gated
    if reads.index is None:
        total = _dense(slots, weight, chosen)
    else:
        total = _sparse(slots, reads, weight, chosen)
    joined = total.sum(2) if adapter.joins == "sum" else total.flatten(2)
    return joined.reshape(like.shape).to(like.dtype)


def _table(slots: MemorySlots) -> Tensor:
    """Values, (row or 1, head or 1, slot, d_value)."""
    if slots.value is None:
        raise BadInput(
            "This memory gives neither a table of values nor the value of each read.",
            "MemorySlots(value=…), or MemoryReads(value=…) where a value depends on the token",
            "Give one of them in the adapter.",
        )
    value = slots.value
    return value[(None,) * (4 - value.dim())]


def _per_token(chosen: Tensor, weight: Tensor) -> Tensor:
    """(row, slot) to (batch, pos or 1, slot) of these weights; a batch may have come as one row.

    Raises:
        BadInput: as many rows as the batch does not have.
    """
    batch, pos = weight.shape[:2]
    if len(chosen) in (1, batch):
        return chosen[:, None]
    if batch > 1 or pos % len(chosen):
        raise BadInput(
            f"There are slots for {len(chosen)} rows, but the batch has {batch}.",
            "one list of slots for all rows, or one for each",
            "Give as many lists as there are rows in the batch.",
        )
    return chosen.repeat_interleave(pos // len(chosen), 0)[None]


def _dense(slots: MemorySlots, weight: Tensor, chosen: Tensor | None) -> Tensor:
    """Every slot in order: (batch, pos, head, d_value)."""
    table = _table(slots).to(weight.dtype)
    if chosen is not None and len(chosen) == 1:
        which = chosen[0].nonzero()[:, 0]
        weight, table = weight[..., which], table[:, :, which]
    elif chosen is not None:
        weight = weight * _per_token(chosen, weight)[:, :, None].to(weight)
    return torch.einsum(
        "bphs,bhsd->bphd", weight, table.expand(len(weight), weight.shape[2], -1, -1)
    )


def _sparse(
    slots: MemorySlots, reads: MemoryReads, weight: Tensor, chosen: Tensor | None
) -> Tensor:
    index = reads.index
    assert index is not None
    if chosen is not None:
        per_token = _per_token(chosen, weight)[:, :, None].expand(*index.shape[:3], -1)
        weight = weight * per_token.gather(-1, index).to(weight)
    if reads.value is not None:
        return (weight[..., None] * reads.value).sum(-2)
    table = _table(slots)
    row, pos, head, read = (weight != 0).nonzero(as_tuple=True)
    # Rows and heads that share a table have it once.
    rows = row if len(table) > 1 else torch.zeros_like(row)
    heads = head if table.shape[1] > 1 else torch.zeros_like(head)
    brought = table[rows, heads, index[row, pos, head, read]] * weight[row, pos, head, read, None]
    total = torch.zeros(
        *weight.shape[:3], table.shape[-1], dtype=brought.dtype, device=weight.device
    )
    return total.index_put((row, pos, head), brought, accumulate=True)


def weight_of(reads: MemoryReads, slots: Int[Tensor, "row n"]) -> Float[Tensor, "batch pos head n"]:
    """How much of each of these slots is read, gate included; slots for each batch row, or one row
    for all.
    """
    weight = reads.gated
    batch, pos, heads, _ = weight.shape
    each = _per_token(slots, weight)[:, :, None].expand(batch, pos, heads, -1)
    if reads.index is None:
        return weight.gather(-1, each)
    return torch.stack(
        [(weight * (reads.index == one[..., None])).sum(-1) for one in each.unbind(-1)], -1
    )


def reads_of(adapter: MemoryAdapter, call: MemoryCall) -> tuple[MemorySlots, MemoryReads]:
    """What was read, and the slots as they stood then."""
    slots = call.before if call.before is not None else adapter.slots(call.module)
    return slots, adapter.reads(call)
