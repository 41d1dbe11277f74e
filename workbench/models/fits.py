"""Whether a model's weights fit where they are to lie, before any of them is read: a system whose
memory is full ends the process instead of raising.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from workbench import disk_space
from workbench.disk_space import size
from workbench.errors import WorkbenchError
from workbench.models.placement import Placement, cards
from workbench.models.weight_sizes import WeightSize

if TYPE_CHECKING:
    import torch

_SCALES = 1.0625  # a scale of four bytes for every 64 numbers, at most
WORKING_ROOM = 300 * 10**6
"""Bytes left free beside the weights, for the passes."""


def needed(weights: WeightSize, dtype: torch.dtype | None, bits: int | None = None) -> int:
    """Bytes of weights in a number type; None is that of the files.

    Args:
        bits: what matrices are rounded to.
    """
    if bits is not None:
        number = 2 if dtype is None else dtype.itemsize
        rest = weights.float32 // 4 - weights.matrices
        return int(rest * number + weights.matrices * bits / 8 * _SCALES)
    if dtype is None:
        return weights.stored
    return weights.float32 * dtype.itemsize // 4


def free(place: str) -> int | None:
    """Bytes that can still be filled on "cpu", "cuda:N" or "balanced" (all cards together); None
    where the system does not say.
    """
    import torch

    if place == "cpu":
        return disk_space.memory_free()
    cards = range(torch.cuda.device_count()) if place == "balanced" else [torch.device(place).index]
    return sum(_free_on(card) for card in cards)


def _free_on(card: int) -> int:
    import torch

    # What torch has kept for later can be filled too.
    kept = torch.cuda.memory_reserved(card) - torch.cuda.memory_allocated(card)
    return int(torch.cuda.mem_get_info(card)[0]) + int(kept)


def limited(where: Placement) -> Placement:
    """With what is free as the limits, where a folder is named and no limit."""
    if where.offload is None or where.limits is not None:
        return where
    places = cards() if where.place == "balanced" else [where.place]
    room = {each: free(each) for each in dict.fromkeys([*places, "cpu"])}
    limits = {
        each: max(1, bytes_free - WORKING_ROOM)
        for each, bytes_free in room.items()
        if bytes_free is not None
    }
    return replace(where, limits=limits)


def check(name: str, weights: WeightSize, where: Placement, dtype: torch.dtype | None) -> None:
    """Fail before anything is read.

    Args:
        dtype: in which it is to be loaded; None is that of the files.

    Raises:
        WorkbenchError: it does not fit; the smallest change that makes it fit is named.
    """
    room, takes = _room(where), needed(weights, dtype, where.bits)
    if room is None or takes <= room or where.offload is not None:
        return
    if where.limits is None:
        shown, told = where.place, f"{size(room + WORKING_ROOM)} are free"
    else:
        shown = ", ".join(f"{place}={size(limit)}" for place, limit in where.limits.items())
        told = f"{size(room)} of these are free"
    raise WorkbenchError(
        f"{name} does not fit on {shown}: its weights take {size(takes)} in"
        f" {_words(dtype, where.bits)}, and the passes about {size(WORKING_ROOM)}; {told}.",
        f"weights of at most {size(max(0, room))}",
        _remedy(weights, where, dtype),
    )


def _room(where: Placement) -> int | None:
    """Bytes of weights that find room, beside the passes; None where the system does not say."""
    if where.limits is None:
        available = free(where.place)
        return None if available is None else available - WORKING_ROOM
    total = 0
    for place, limit in where.limits.items():
        available = free(place)
        total += limit if available is None else max(0, min(limit, available - WORKING_ROOM))
    return total


def _remedy(weights: WeightSize, where: Placement, dtype: torch.dtype | None) -> str:
    """The smallest change that makes it fit."""
    import torch

    half = torch.bfloat16
    ways: list[tuple[str, Placement, torch.dtype | None]] = []
    if needed(weights, half) < needed(weights, dtype):
        ways.append(("--dtype bfloat16", where, half))
    if where.limits is None:
        ways += _elsewhere(weights, where.place, dtype)
    for words, other, kind in ways:
        room, takes = _room(other), needed(weights, kind, other.bits)
        if room is None or takes <= room:
            return f"Load it with {words}: it then takes {size(takes)}."
    return (
        "Close other programs, give a folder for the weights that find no room (--offload FOLDER;"
        " every pass reads them from there), or take a smaller model."
    )


def _elsewhere(
    weights: WeightSize, place: str, dtype: torch.dtype | None
) -> list[tuple[str, Placement, torch.dtype | None]]:
    """Other devices and roundings, from the smallest change on."""
    import torch

    half, ways = torch.bfloat16, list[tuple[str, Placement, torch.dtype | None]]()
    if torch.cuda.is_available() and place != "balanced" and torch.cuda.device_count() > 1:
        ways.append(("--device balanced", Placement("balanced"), dtype))
        if needed(weights, half) < needed(weights, dtype):
            ways.append(("--device balanced --dtype bfloat16", Placement("balanced"), half))
    if place != "cpu":
        ways.append(("--device cpu", Placement("cpu"), torch.float32))
        ways.append(("--device cpu --dtype bfloat16", Placement("cpu"), half))
    if place != "balanced" and weights.matrices and find_spec("bitsandbytes"):
        ways += [(f"--bits {bits}", Placement(place, bits=bits), dtype) for bits in (8, 4)]
    return ways


def _words(dtype: torch.dtype | None, bits: int | None) -> str:
    if bits is not None:
        return f"{bits} bits"
    return "the number types of its files" if dtype is None else str(dtype).removeprefix("torch.")
