"""Whether a model's weights fit where they are to lie, before any of them is read: a system whose
memory is full ends the process instead of raising.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench import disk_space
from workbench.disk_space import size
from workbench.errors import WorkbenchError
from workbench.models.weight_sizes import WeightSize

if TYPE_CHECKING:
    import torch

WORKING_ROOM = 300 * 10**6
"""Bytes left free beside the weights, for the passes."""


def needed(weights: WeightSize, dtype: torch.dtype | None) -> int:
    """Bytes of weights in a number type; None is that of the files."""
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


def check(name: str, weights: WeightSize, place: str, dtype: torch.dtype | None) -> None:
    """Fail before anything is read.

    Args:
        dtype: in which it is to be loaded; None is that of the files.

    Raises:
        WorkbenchError: it does not fit; the smallest change that makes it fit is named.
    """
    available, takes = free(place), needed(weights, dtype)
    if available is None or takes + WORKING_ROOM <= available:
        return
    raise WorkbenchError(
        f"{name} does not fit on {place}: its weights take {size(takes)} in"
        f" {_words(dtype)}, and the passes about {size(WORKING_ROOM)}; {size(available)} are free.",
        f"weights of at most {size(max(0, available - WORKING_ROOM))}",
        _remedy(weights, place, dtype),
    )


def _remedy(weights: WeightSize, place: str, dtype: torch.dtype | None) -> str:
    """The smallest change that makes it fit."""
    import torch

    half = torch.bfloat16
    smaller = needed(weights, half) < needed(weights, dtype)
    ways: list[tuple[str, str, torch.dtype | None]] = []
    if smaller:
        ways.append(("--dtype bfloat16", place, half))
    if torch.cuda.is_available() and place != "balanced" and torch.cuda.device_count() > 1:
        ways.append(("--device balanced", "balanced", dtype))
        if smaller:
            ways.append(("--device balanced --dtype bfloat16", "balanced", half))
    if place != "cpu":
        ways.append(("--device cpu", "cpu", torch.float32))
        ways.append(("--device cpu --dtype bfloat16", "cpu", half))
    for words, where, kind in ways:
        available, takes = free(where), needed(weights, kind)
        if available is None or takes + WORKING_ROOM <= available:
            return f"Load it with {words}: it then takes {size(takes)}."
    return "Close other programs, take a smaller model, or a machine with more memory."


def _words(dtype: torch.dtype | None) -> str:
    return "the number types of its files" if dtype is None else str(dtype).removeprefix("torch.")
