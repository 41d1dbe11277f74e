"""Changing a memory while a model runs: mask slots, swap their values, skip what is written, switch
the memory off.

Masking takes away what a slot brings and leaves the other weights as they are: no other slot is
fetched in its place, and nothing is scaled up. So what is lost is what these slots gave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hooks.memory_modules.memory_calls import watched
from hooks.memory_modules.places import MemoryPlace
from hooks.memory_modules.read_sums import read_sum, reads_of, weight_of
from hooks.memory_modules.vocabulary import MemoryCall, MemorySlots, MemoryWrite
from workbench.errors import BadInput, Unfit
from workbench.reentrant import reentrant

Chosen = Sequence[int] | Sequence[Sequence[int]]
"""Numbers of slots; or a list of them for each row of a batch."""


@reentrant
def masked(place: MemoryPlace, slots: Chosen) -> Iterator[None]:
    """Inside, these slots bring nothing, at any token.

    Args:
        slots: their numbers, or such a list for each row of the batch.

    Raises:
        BadInput: a number that the memory does not have, or lists for another number of rows.
    """
    chosen = slot_mask(place.slots(), slots)

    def without(call: MemoryCall) -> Tensor:
        before, reads = reads_of(place.adapter, call)
        which = _fit(chosen, before.count).to(reads.weight.device)
        return call.output - read_sum(place.adapter, before, reads, call.output, which)

    with watched(place, without):
        yield


@reentrant
def switched_off(place: MemoryPlace) -> Iterator[None]:
    """Inside, the memory reads nothing: its module gives what it gives beside the sum (a bias)."""
    with watched(place, lambda call: output_beside(place, call)):
        yield


def output_beside(place: MemoryPlace, call: MemoryCall) -> Tensor:
    """What the module gives beside the sum that is read: its bias, or nothing."""
    rest = place.adapter.rest
    return torch.zeros_like(call.output) if rest is None else rest(call).to(call.output)


@reentrant
def swapped(
    place: MemoryPlace,
    slots: Int[Tensor, "row n"],
    values: Float[Tensor, "row *head n d_value"],
) -> Iterator[None]:
    """Inside, these slots hold other values; keys and weights stay.

    Args:
        slots: numbers, for each row of the batch, or in one row for all; none twice in a row.
        values: what stands in them now, of each head where heads have values of their own.

    Raises:
        BadInput: shapes that do not fit the memory, or a number that it does not have.
        Unfit: its values are no numbers but functions of the token (experts).
    """
    held = place.slots()
    if held.space == "function":
        raise Unfit(
            f"The slots of a {place.adapter.name} hold no values of their own to swap.",
            "a memory with a table of values",
            "Mask its slots instead.",
        )
    slot_mask(held, slots.tolist())
    if any(len(set(row)) < len(row) for row in slots.tolist()):
        raise BadInput("A slot is to hold two values at once.", "each slot once", "Leave one out.")
    if held.value is not None and values.shape[-1] != held.value.shape[-1]:
        raise BadInput(
            f"Values of {values.shape[-1]} numbers do not fit the memory.",
            f"{held.value.shape[-1]} numbers for each slot",
            "Give one vector for each slot.",
        )

    def other(call: MemoryCall) -> Tensor:
        before, reads = reads_of(place.adapter, call)
        weight = weight_of(reads, slots.to(reads.weight.device))
        old = values_of(before, slots, len(weight), weight.shape[2])
        new = values[:, None] if values.dim() == 3 else values
        change = (new.to(old) - old).expand(len(weight), -1, -1, -1)
        added = torch.einsum("bphn,bhnd->bphd", weight.to(change), change)
        joined = added.sum(2) if place.adapter.joins == "sum" else added.flatten(2)
        return call.output + joined.reshape(call.output.shape).to(call.output)

    with watched(place, other):
        yield


def values_of(
    held: MemorySlots, slots: Int[Tensor, "row n"], rows: int, heads: int
) -> Float[Tensor, "batch head n d_value"]:
    """What stands in these slots, of each row of a batch and each head."""
    assert held.value is not None
    table = held.value[(None,) * (4 - held.value.dim())].expand(rows, heads, -1, -1)
    each = slots.to(table.device).expand(rows, -1)[:, None, :, None]
    return table.gather(2, each.expand(-1, heads, -1, table.shape[-1]))


@reentrant
def writes_skipped(
    place: MemoryPlace, which: Callable[[MemoryWrite], bool] = lambda write: True
) -> Iterator[list[MemoryWrite]]:
    """Inside, writes are taken back as soon as they are made; those taken back are appended to the
    list that is given.

    Args:
        which: the writes to skip. The default skips all: the memory is frozen.

    Raises:
        Unfit: the memory is not written while text is read.
    """
    adapter = place.adapter
    if adapter.restore is None:
        raise Unfit(
            f"A {adapter.name} is not written while text is read: training wrote it.",
            "a memory that is written as it reads",
            "Swap a value, or mask a slot.",
        )
    restore = adapter.restore
    skipped: list[MemoryWrite] = []

    def undo(call: MemoryCall) -> None:
        assert call.before is not None
        after = adapter.slots(place.module)
        writes = adapter.writes(call.before, after)
        wrong = [write for write in writes if which(write)]
        if wrong:
            every = len(wrong) == len(writes)
            old = call.before if every else _with_old(call.before, after, wrong)
            restore(place.module, old)
            skipped.extend(wrong)

    with watched(place, undo):
        yield skipped


def _with_old(
    before: MemorySlots, after: MemorySlots, writes: Sequence[MemoryWrite]
) -> MemorySlots:
    """`after`, but for the slots that these writes changed.

    Raises:
        BadInput: slots move or are dropped, so that the others have no old place.
    """
    changed = {write.slot for write in writes}
    if after.count != before.count or after.ids is not None:
        raise BadInput(
            "Of a memory whose slots move, single writes cannot be taken back.",
            "all writes of a call, or none",
            "Freeze it: skip every write.",
        )
    rows = torch.tensor(sorted(changed))

    def mixed(new: Tensor | None, old: Tensor | None) -> Tensor | None:
        if new is None or old is None:
            return new
        out = new.clone()
        out[..., rows, :] = old[..., rows, :]
        return out

    return MemorySlots(after.count, mixed(after.key, before.key), mixed(after.value, before.value),
                 after.space, after.ids, after.born, after.uses, after.source)  # fmt: skip


@reentrant
def all_masked(places: Sequence[MemoryPlace], slots: Sequence[Chosen]) -> Iterator[None]:
    """`masked` in several memories at once; where a list is empty, a memory stays as it is."""
    with ExitStack() as stack:
        for place, chosen in zip(places, slots, strict=True):
            if any(True for one in chosen if isinstance(one, int) or len(one)):
                stack.enter_context(masked(place, chosen))
        yield


def slot_mask(held: MemorySlots, slots: Chosen) -> Bool[Tensor, "row slot"]:
    """True where a slot is one of these.

    Raises:
        BadInput: a number outside of 0 … count − 1. Of memories whose slots are the tokens of a
            text, which is yet to be read, any number is one.
    """
    rows = [[one] if isinstance(one, int) else list(one) for one in slots]
    if all(isinstance(one, int) for one in slots):
        rows = [[one for row in rows for one in row]]
    grows = held.space in ("token position", "document")
    count = max([held.count, *(one + 1 for row in rows for one in row)]) if grows else held.count
    wrong = [one for row in rows for one in row if not 0 <= one < count]
    if wrong:
        raise BadInput(
            f"The memory has no slot {wrong[0]}.", f"0 to {count - 1}", "Choose another."
        )
    mask = torch.zeros(len(rows), count, dtype=torch.bool)
    for n, row in enumerate(rows):
        mask[n, row] = True
    return mask


def _fit(chosen: Tensor, count: int) -> Tensor:
    """A mask for a memory that has grown or shrunk since."""
    if chosen.shape[1] >= count:
        return chosen[:, :count]
    return torch.nn.functional.pad(chosen, (0, count - chosen.shape[1]))
