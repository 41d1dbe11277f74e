"""What a call of a module wrote: its slots before and after, matched and compared."""

from __future__ import annotations

import torch
from torch import Tensor

from hooks.memory_modules.vocabulary import MemorySlots, MemoryWrite
from workbench.errors import BadInput

_SAME = 1e-6
_NEARLY = 0.05
"""A slot that moved is found again where some slot is within this share of its length."""


def compare(before: MemorySlots, after: MemorySlots) -> list[MemoryWrite]:
    """Every slot that is not as it was.

    Slots with `ids` are matched by them, so they may move. Without ids a slot keeps its place;
    where contents were shifted to other places, the memory has to name its slots.

    Raises:
        BadInput: slots moved, and no ids say where to.
    """
    rows = max(_rows(before), _rows(after))
    old, new = _contents(before, rows), _contents(after, rows)
    if old is None or new is None:
        return []
    if before.ids is not None and after.ids is not None:
        return _by_ids(before.ids, after.ids, old, new)
    shared = min(len(old), len(new))
    change = (new[:shared] - old[:shared]).norm(dim=-1)
    length = old[:shared].norm(dim=-1)
    touched = (change > _SAME * length.clamp(min=1e-12)).nonzero()[:, 0]
    _refuse_moved(old, new, touched)
    writes = [_change(int(slot), old[slot], new[slot]) for slot in touched]
    writes += [MemoryWrite(slot, "insert", 1.0) for slot in range(shared, len(new))]
    return writes + [MemoryWrite(slot, "drop", 1.0) for slot in range(shared, len(old))]


def _rows(slots: MemorySlots) -> int:
    """Of the batch; 1 where all rows share the slots."""
    return max(
        (len(part) for part in (slots.key, slots.value) if part is not None and part.dim() == 4),
        default=1,
    )


def _contents(slots: MemorySlots, rows: int) -> Tensor | None:
    """(slot, numbers): key and value of each, of all heads of all rows. What one row held before a
    batch was read, each of its rows did.
    """
    parts = []
    for part in (slots.key, slots.value):
        if part is not None:
            if part.dim() == 4 and len(part) == 1:
                part = part.expand(rows, -1, -1, -1)
            moved = part.detach().movedim(-2, 0).float()
            parts.append(moved.flatten(1))
    return torch.cat(parts, -1) if parts else None


def _by_ids(before: Tensor, after: Tensor, old: Tensor, new: Tensor) -> list[MemoryWrite]:
    places = {int(name): place for place, name in enumerate(before)}
    writes = []
    for place, name in enumerate(after.tolist()):
        was = places.pop(name, None)
        if was is None:
            writes.append(MemoryWrite(place, "insert", 1.0))
        elif bool((new[place] - old[was]).norm() > _SAME * old[was].norm()):
            writes.append(_change(place, old[was], new[place]))
    return writes + [MemoryWrite(place, "drop", 1.0) for place in places.values()]


def _change(slot: int, old: Tensor, new: Tensor) -> MemoryWrite:
    """A slot that holds something else: nothing was there, all of it is new, it only shrank, or it
    was changed in part.
    """
    length = float(old.norm())
    if length == 0:
        return MemoryWrite(slot, "insert", 1.0)
    strength = float((new - old).norm()) / length
    if float(new.norm()) == 0:
        return MemoryWrite(slot, "drop", strength)
    cosine = float(old @ new / (length * new.norm()))
    if cosine > 1 - _SAME and float(new.norm()) < length:
        return MemoryWrite(slot, "decay", strength)
    return MemoryWrite(slot, "merge" if cosine > 0.5 else "overwrite", strength)


def _refuse_moved(old: Tensor, new: Tensor, touched: Tensor) -> None:
    """Raises BadInput where most of what changed stands as it was in another slot."""
    if len(touched) < 2:
        return
    distance = torch.cdist(old[touched], new)
    nearest, place = distance.min(-1)
    length = old[touched].norm(dim=-1)
    moved = (nearest < _NEARLY * length) & (place != touched) & (length > 0)
    if int(moved.sum()) > len(touched) / 2:
        slot, there = int(touched[moved][0]), int(place[moved][0])
        raise BadInput(
            f"Slots of this memory move: what stood in slot {slot} now stands in slot {there}.",
            "slots that keep their places, or `ids` that stay with their contents",
            "Give `MemorySlots(ids=…)` in the adapter.",
        )
