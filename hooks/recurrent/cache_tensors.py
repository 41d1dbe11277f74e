"""The tensors in what a model remembers, whichever kind of cache its family keeps: by name, and the
same cache with others in their place.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Mapped = Callable[[str, Tensor], Tensor]
Counted = Callable[[str, int], int]


def mapped(
    cache: Any, change: Mapped, count: Counted = lambda _, number: number, name: str = ""
) -> Any:
    """A cache like this one, with `change(name, tensor)` in place of each tensor and
    `count(name, number)` in place of each whole number, such as how many tokens were read.

    Names are where something lies, as in "layers.0.keys". All else is shared.
    """

    def inner(part: Any, key: object) -> Any:
        return mapped(part, change, count, f"{name}.{key}" if name else str(key))

    if isinstance(cache, torch.Tensor):
        return change(name, cache)
    if isinstance(cache, int) and not isinstance(cache, bool):
        return count(name, cache)
    if isinstance(cache, tuple):
        parts = [inner(part, i) for i, part in enumerate(cache)]
        return type(cache)(*parts) if hasattr(cache, "_fields") else tuple(parts)
    if isinstance(cache, list):
        return [inner(part, i) for i, part in enumerate(cache)]
    if isinstance(cache, dict):
        same = copy.copy(cache)
        same.update({key: inner(part, key) for key, part in cache.items()})
        return same
    ours = ("transformers.", "workbench.", "hooks.")
    if not type(cache).__module__.startswith(ours) or isinstance(cache, nn.Module):
        return cache
    if not hasattr(cache, "__dict__") or hasattr(cache, "to_diff_dict"):  # a configuration
        return cache
    same = copy.copy(cache)
    for key, part in vars(cache).items():
        same.__dict__[key] = inner(part, key)
    return same


def selected(cache: Any, chosen: Tensor, rows: int) -> Any:
    """A cache of some prompts of `rows`, (chosen,); recurrent layers have no such way of their
    own.
    """
    if all(hasattr(layer, "batch_select_indices") for layer in getattr(cache, "layers", [None])):
        cache.batch_select_indices(chosen)
        return cache

    def some(_: str, value: Tensor) -> Tensor:
        return value[chosen] if value.dim() > 1 and value.shape[0] == rows else value

    return mapped(cache, some)


def contents(cache: Any) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The tensors, in the cache's own memory, and the whole numbers, by name."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, int] = {}

    def tensor(name: str, value: Tensor) -> Tensor:
        tensors[name] = value
        return value

    def number(name: str, value: int) -> int:
        numbers[name] = value
        return value

    mapped(cache, tensor, number)
    return tensors, numbers


def repeated(tensor: Tensor, rows: int) -> Tensor:
    """What one prompt left, for so many copies of it; always a copy."""
    if tensor.dim() < 2 or tensor.shape[0] != 1:  # a number for all
        return tensor.clone()
    return tensor.repeat(rows, *[1] * (tensor.dim() - 1))
