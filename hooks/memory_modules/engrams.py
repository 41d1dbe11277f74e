"""Memoria (Park and Bak 2023; `pip install memoria-pytorch`) as a memory: an engram is a slot, with
its name, age and number of firings; a module that holds a Memoria reads those it was reminded of.

    ADAPTER = memoria_reading(MyLayer, memoria="memoria", index="reminded", weight="attention")
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Literal

import torch
from torch import nn

from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.name_mapping import at_path, held_tensor
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots
from workbench.errors import BadInput


def memoria_reading(
    kind: type[nn.Module] | Callable[[nn.Module], bool],
    *,
    memoria: str,
    index: str,
    weight: str,
    joins: Literal["sum", "concat"] = "sum",
) -> MemoryAdapter:
    """Adapter of a module that holds a `memoria.Memoria` and gives the sum of weight × engram.

    Args:
        memoria: where it stands in the module.
        index: where the numbers of the engrams stand that it was reminded of last, as `remind`
            gives them, (batch, read); −1 is none.
        weight: of each of them, (batch, pos, read), or (batch, pos, head, read).

    Raises:
        BadInput: when a module is read, a path that leads nowhere, or other shapes; engrams without
            names (`track_id=True` gives them some).
    """

    def slots(module: nn.Module) -> MemorySlots:
        held = at_path(module, memoria)
        engrams = getattr(held, "engrams", None)
        if engrams is None:
            raise BadInput(
                f"{type(module).__name__} has no Memoria at {memoria!r}.",
                "a memoria.Memoria (pip install memoria-pytorch)",
                "Correct the path.",
            )
        if not held.track_id:
            raise BadInput(
                "The engrams of this Memoria have no names, and move as some are dropped.",
                "Memoria(track_id=True)",
                "Make it so.",
            )
        data = engrams.data[:, None]  # batch, 1, engram, d
        count = engrams.memory_length
        uses = engrams.induce_counts.diagonal(dim1=-2, dim2=-1)
        has = count > 0
        return MemorySlots(
            count, data, data, "recurrent",
            ids=engrams.engram_ids[0].long() if has else torch.zeros(0, dtype=torch.long),
            born=(held.timestep - engrams.age[0]).long() if has and held.track_age else None,
            uses=uses[0].long() if has else None,
            kept=deepcopy(held.__dict__),
        )  # fmt: skip

    def reads(call: MemoryCall) -> MemoryReads:
        number = held_tensor(call.module, index)
        much = held_tensor(call.module, weight)
        much = much[:, :, None] if much.dim() == 3 else much
        if number.dim() != 2 or much.dim() != 4 or much.shape[::3] != number.shape:
            raise BadInput(
                f"{index!r} is of shape {tuple(number.shape)}, {weight!r} of {tuple(much.shape)}.",
                "(batch, read) and (batch, pos, head, read)",
                "Correct the mapping.",
            )
        every = number[:, None, None].expand_as(much)
        none = every < 0
        return MemoryReads(much.masked_fill(none, 0.0), every.clamp(min=0).long())

    def restore(module: nn.Module, before: MemorySlots) -> None:
        at_path(module, memoria).__dict__.update(deepcopy(before.kept))

    return MemoryAdapter("engrams of Memoria", kind, slots, reads, joins=joins, restore=restore)
