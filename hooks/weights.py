"""Weights as numbers and where a module computes, however a model is kept: offloaded by Accelerate, or quantized."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from hooks.held import held

if TYPE_CHECKING:
    from torch import Tensor


def numbers(module: Any, name: str = "weight") -> Tensor:
    """The weight (or bias) of a linear layer or an embedding in floating point, laid out as the module keeps it.

    A weight that Accelerate keeps elsewhere until the module runs is fetched; one of bitsandbytes (8 or 4 bits) is
    dequantized. Neither is kept: ask once, outside loops.
    """
    from accelerate.utils import align_module_device

    with align_module_device(module):
        weight = getattr(module, name)
        if name == "weight" and is_quantized(module):
            from transformers.integrations.bitsandbytes import dequantize_bnb_weight

            return dequantize_bnb_weight(weight, module.state if hasattr(module, "state") else None)
        return weight


@contextmanager
def learning(parameters: Iterable[Tensor]) -> Iterator[None]:
    """Frozen weights have gradients for a while."""
    with held(list(parameters), "requires_grad", True):
        yield


def bias_of(module: Any) -> Tensor | None:
    """What a linear layer adds, or None."""
    return None if getattr(module, "bias", None) is None else numbers(module, "bias")


def is_quantized(module: Any) -> bool:
    """Whether bitsandbytes keeps the weight: packed, without gradients of its own."""
    return type(getattr(module, "weight", None)).__name__ in {"Params4bit", "Int8Params"}


def rounds_inputs(module: Any) -> bool:
    """Whether some linear layer inside rounds what it reads to 8 bits, so that no identity holds closer than that."""
    return any(type(getattr(part, "weight", None)).__name__ == "Int8Params" for part in module.modules())


def device_of(module: Any) -> torch.device:
    """Where a module computes; an offloaded weight lies elsewhere, or nowhere ("meta")."""
    hook = getattr(module, "_hf_hook", None)
    place = getattr(hook, "execution_device", None)
    return module.weight.device if place is None else torch.device(place)
