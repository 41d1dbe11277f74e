"""Memories beside the weights: the entries of GRACE and the shards of WISE (`hooks.editing`).

with grace.applied(model):
    place = grace_place(model, grace)
    with masked(place, [0]): ...
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hooks.editing.grace import Grace
from hooks.editing.wise import Wise
from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.places import MemoryPlace
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

_SAME = 1e-3


def grace_place(model: InstrumentedModel, grace: Grace) -> MemoryPlace:
    """The entries of GRACE, to be looked at inside `grace.applied(model)`: an entry that is near
    enough is read with a weight of one, in place of what the layer writes.
    """
    down = _down(model, grace.layer)

    def slots(module: nn.Module) -> MemorySlots:
        if not grace.entries:
            return MemorySlots(0)
        key = torch.stack([entry.key for entry in grace.entries])
        value = torch.stack([entry.value for entry in grace.entries])
        source = [entry.request.statement for entry in grace.entries]
        return MemorySlots(len(grace.entries), key, value, source=source)

    def reads(call: MemoryCall) -> MemoryReads:
        near, number = grace._lookup(_tokens(call.args[0]))
        weight = near.to(call.args[0].dtype)[:, :, None, None]
        return MemoryReads(weight, number[:, :, None, None], mass=near.to(weight)[:, :, None])

    def rest(call: MemoryCall) -> Tensor:
        near, _ = grace._lookup(call.args[0])
        return torch.where(near[..., None], torch.zeros_like(call.output), call.output)

    @contextmanager
    def zeroed(module: nn.Module, which: Tensor) -> Iterator[None]:
        was = list(grace.entries)
        for n in which.tolist():
            grace.entries[n] = replace(was[n], value=torch.zeros_like(was[n].value))
        try:
            yield
        finally:
            grace.entries[:] = was

    adapter = MemoryAdapter(
        "entries of GRACE", lambda module: module is down, slots, reads, rest=rest, zeroed=zeroed
    )
    return MemoryPlace(f"blocks.{grace.layer}.memory", grace.layer, down, adapter)


def wise_place(model: InstrumentedModel, wise: Wise) -> MemoryPlace:
    """The shards of WISE, to be looked at inside `wise.applied(model)`: what a shard brings depends
    on the token, its weight is one where the router sends the prompt to it.
    """
    down = _down(model, wise.layer)

    def slots(module: nn.Module) -> MemorySlots:
        source = ["; ".join(r.statement for r in shard.requests) for shard in wise.shards]
        return MemorySlots(len(wise.shards), space="function", source=source)

    def reads(call: MemoryCall) -> MemoryReads:
        x = _tokens(call.args[0])
        added = (call.output - call.module.forward(call.args[0])).reshape(*x.shape[:2], -1)
        brought = torch.stack([x @ shard.change.T.to(x) for shard in wise.shards], 2)
        # The router decides while it reads; which shard answered is what was added.
        off = (brought - added[:, :, None]).norm(dim=-1)
        size = brought.norm(dim=-1)
        weight = ((off < _SAME * size) & (size > 0)).to(x)[:, :, None]
        index = torch.arange(len(wise.shards), device=x.device).expand(weight.shape)
        return MemoryReads(weight, index, value=brought[:, :, None])

    def rest(call: MemoryCall) -> Tensor:
        plain: Tensor = call.module.forward(call.args[0])
        return plain

    @contextmanager
    def zeroed(module: nn.Module, which: Tensor) -> Iterator[None]:
        def without(_: nn.Module, args: tuple[Any, ...], out: Tensor) -> Tensor:
            call = MemoryCall(down, args, {}, out)
            weight = reads(call).weight[:, :, 0]
            taken = torch.zeros_like(out)
            for n in which.tolist():
                change = args[0] @ wise.shards[n].change.T.to(args[0])
                taken += weight[..., n].reshape(*change.shape[:-1], 1) * change
            return out - taken

        handle = module.register_forward_hook(without)
        try:
            yield
        finally:
            handle.remove()

    adapter = MemoryAdapter(
        "shards of WISE", lambda module: module is down, slots, reads, rest=rest, zeroed=zeroed
    )
    return MemoryPlace(f"blocks.{wise.layer}.memory", wise.layer, down, adapter)


def _down(model: InstrumentedModel, layer: int) -> nn.Module:
    down = model.layout.blocks[layer].down_proj
    assert down is not None
    return down


def _tokens(x: Tensor) -> Tensor:
    """(batch, pos, d_in), also of a module that sees all tokens of a batch in one row."""
    return x if x.dim() == 3 else x[None]
