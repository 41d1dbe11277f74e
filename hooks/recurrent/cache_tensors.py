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


def mapped(cache: Any, change: Mapped, name: str = "") -> Any:
    """A cache like this one, with `change(name, tensor)` in place of each tensor.

    Names are where a tensor lies, as in "layers.0.keys". What is no tensor is shared.
    """
    if isinstance(cache, torch.Tensor):
        return change(name, cache)
    if isinstance(cache, tuple):
        parts = [mapped(part, change, _joined(name, i)) for i, part in enumerate(cache)]
        return type(cache)(*parts) if hasattr(cache, "_fields") else tuple(parts)
    if isinstance(cache, list):
        return [mapped(part, change, _joined(name, i)) for i, part in enumerate(cache)]
    if isinstance(cache, dict):
        same = copy.copy(cache)
        same.update({key: mapped(part, change, _joined(name, key)) for key, part in cache.items()})
        return same
    if not type(cache).__module__.startswith(("transformers.", "hooks.")) or isinstance(
        cache, nn.Module
    ):
        return cache
    if not hasattr(cache, "__dict__") or hasattr(cache, "to_diff_dict"):  # a configuration
        return cache
    same = copy.copy(cache)
    for key, part in vars(cache).items():
        same.__dict__[key] = mapped(part, change, _joined(name, key))
    return same


def tensors_of(cache: Any) -> dict[str, Tensor]:
    """The tensors by name, in the cache's own memory."""
    found: dict[str, Tensor] = {}

    def keep(name: str, tensor: Tensor) -> Tensor:
        found[name] = tensor
        return tensor

    mapped(cache, keep)
    return found


def repeated(tensor: Tensor, rows: int) -> Tensor:
    """What one prompt left, for so many copies of it; always a copy."""
    if tensor.dim() < 2 or tensor.shape[0] != 1:  # a number for all
        return tensor.clone()
    return tensor.repeat(rows, *[1] * (tensor.dim() - 1))


def _joined(name: str, key: object) -> str:
    return f"{name}.{key}" if name else str(key)
