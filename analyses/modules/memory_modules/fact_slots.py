"""Which slots a fact reads: those of the last token of its prompt, over all memories of a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

from hooks.memory_modules import (
    MemoryPlace,
    MemoryReads,
    MemoryRecord,
    MemorySlots,
    places_or_neurons,
    recorded,
)
from hooks.memory_modules.slot_changes import output_beside

if TYPE_CHECKING:
    from analyses.modules.memory_modules.questions import MemoryQuestion
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_AT_ONCE = 32
_UNITS = {"mixture of experts": "expert", "mixture of domain adapters": "adapter"}


@dataclass(frozen=True)
class Memories:
    """All memories of a model; a slot of theirs has one number, over all of them."""

    places: list[MemoryPlace]

    @classmethod
    def of(cls, model: InstrumentedModel) -> Memories:
        """Raises Unfit where a model has none."""
        return cls(places_or_neurons(model))

    @cached_property
    def starts(self) -> list[int]:
        """The number of each memory's first slot, and behind the last."""
        counts = [place.slots().count for place in self.places]
        return [0, *np.cumsum(counts).tolist()]

    @property
    def total(self) -> int:
        return self.starts[-1]

    @property
    def kind(self) -> str:
        """What they are, in words."""
        return self.places[0].adapter.name

    @property
    def stand_in(self) -> bool:
        """Whether they are neurons, in place of a memory that the model does not have."""
        return self.places[0].adapter.stand_in

    @property
    def unit(self) -> str:
        """What one of their slots is called."""
        if self.stand_in:
            return "neuron"
        return _UNITS.get(self.kind, "slot")

    def split(self, slots: Sequence[int]) -> list[list[int]]:
        """By memory, the slots' numbers in it."""
        ends = self.starts
        return [
            [slot - low for slot in slots if low <= slot < high] for low, high in pairwise(ends)
        ]

    def name(self, slot: int) -> str:
        """E.g. `blocks.1.memory 17`."""
        place = int(np.searchsorted(self.starts, slot, side="right")) - 1
        return f"{self.places[place].name} {slot - self.starts[place]}"

    def called(self, slot: int) -> str:
        """As people read it, e.g. `L1 expert 3`."""
        place, number = self.place_of(slot)
        where = "" if place.layer is None else f"L{place.layer} "
        return f"{where}{self.unit} {number}"

    def place_of(self, slot: int) -> tuple[MemoryPlace, int]:
        """The memory and the slot's number in it."""
        place = int(np.searchsorted(self.starts, slot, side="right")) - 1
        return self.places[place], slot - self.starts[place]


def sizes(slots: MemorySlots, reads: MemoryReads) -> torch.Tensor:
    """How much each read brings, (batch, pos, head, read): |weight × gate| × the value's length."""
    weight = reads.gated.abs()
    if reads.value is not None:
        lengths: torch.Tensor = reads.value.norm(dim=-1)
        return weight * lengths
    assert slots.value is not None
    table = slots.value[(None,) * (4 - slots.value.dim())]  # row, head, slot, d_value
    if reads.index is None:
        every: torch.Tensor = weight * table.norm(dim=-1)[:, None].to(weight)
        return every
    # Of a large table only what is read is measured.
    read, place = reads.index.unique(return_inverse=True)
    length = table[:, :, read.to(table.device)].norm(dim=-1)[:, None]
    length = length.expand(*reads.index.shape[:3], -1).to(weight)
    sized: torch.Tensor = weight * length.gather(-1, place)
    return sized


def read_sizes(
    model: InstrumentedModel,
    memories: Memories,
    rows: Sequence[MemoryQuestion],
    progress: Progress,
) -> Iterator[tuple[int, np.ndarray]]:
    """Number of a fact, and how much each slot brings at the last token of its prompt, (slot,)."""
    lengths, done = [len(row.ids) for row in rows], 0
    for batch in model.batch_indices(lengths, _AT_ONCE):
        progress(done / len(rows), f"Looking which slots are read: {done} of {len(rows)} facts")
        done += len(batch)
        with recorded(memories.places) as calls:
            model.next_logits([list(rows[n].ids) for n in batch], batch_size=len(batch))
        by_place = {id(call.place): call for call in calls}
        parts = [size_at_last(by_place[id(place)], len(batch)) for place in memories.places]
        yield from zip(batch, np.concatenate(parts, 1), strict=True)


def size_at_last(call: MemoryRecord, rows: int) -> np.ndarray:
    """What each slot of a memory brings at the last token, all heads together, (row, slot)."""
    size = by_rows(sizes(call.slots, call.reads), rows)[:, -1].float().cpu()
    if call.reads.index is None:
        return size.sum(1).numpy()
    index = by_rows(call.reads.index, rows)[:, -1].flatten(1).cpu()
    table = torch.zeros(rows, call.slots.count)
    return table.scatter_add_(1, index, size.flatten(1)).numpy()


def by_rows(x: torch.Tensor, rows: int) -> torch.Tensor:
    """(row, pos, …) of what may have come as one row of all tokens."""
    return x if len(x) == rows else x.reshape(rows, -1, *x.shape[2:])


def brought(call: MemoryRecord) -> torch.Tensor:
    """What a memory gave at the last token, without what its module gives beside it, (d_model,)."""
    given = call.call.output - output_beside(call.place, call.call)
    last: torch.Tensor = given.reshape(-1, given.shape[-1])[-1].float()
    return last


@dataclass(frozen=True)
class FactSlots:
    """What a fact reads.

    Attributes:
        order: its slots, those that bring most first.
        sizes: what they bring.
    """

    question: MemoryQuestion
    order: list[int]
    sizes: list[float]

    def top(self, n: int) -> list[int]:
        return self.order[:n]


def slots_of_facts(
    model: InstrumentedModel,
    memories: Memories,
    rows: Sequence[MemoryQuestion],
    most: int,
    progress: Progress,
) -> list[FactSlots]:
    """Of each fact the slots it reads, at most so many."""
    found: dict[int, FactSlots] = {}
    for number, size in read_sizes(model, memories, rows, progress):
        order = np.argsort(-size, kind="stable")[:most]
        order = order[size[order] > 0]
        found[number] = FactSlots(rows[number], order.tolist(), size[order].tolist())
    return [found[number] for number in range(len(rows))]


def used_slots(facts: Sequence[FactSlots], most: int | None = None) -> list[int]:
    """Slots that some of these facts read, or have among so many most read."""
    return sorted({slot for fact in facts for slot in fact.order[:most]})
