"""Weights as numbers and where a module computes, however a model is kept: offloaded by Accelerate, or quantized."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor


def numbers(module: Any, name: str = "weight") -> Tensor:
    """The weight (or bias) of a linear layer or an embedding in floating point, laid out as the module keeps it.

    A weight that Accelerate keeps elsewhere until the module runs is fetched; one of bitsandbytes (8 or 4 bits) is
    dequantized. Neither is kept: ask once, outside loops.
    """
    with _fetched(module):
        weight = getattr(module, name)
        if name == "weight" and is_quantized(module):
            from transformers.integrations.bitsandbytes import dequantize_bnb_weight

            return dequantize_bnb_weight(weight, module.state if hasattr(module, "state") else None)
        return weight


def _fetched(module: Any) -> AbstractContextManager[None]:
    """Weights that Accelerate keeps elsewhere are there while inside; of any other module there is nothing to fetch."""
    if getattr(module, "_hf_hook", None) is None:
        return nullcontext()
    from accelerate.utils import align_module_device

    return align_module_device(module)


@contextmanager
def learning(parameters: Iterable[Tensor]) -> Iterator[None]:
    """Frozen weights have gradients for a while."""
    frozen = [p for p in parameters if not p.requires_grad]
    try:
        for parameter in frozen:
            parameter.requires_grad_(True)
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)


def bias_of(module: Any) -> Tensor | None:
    """What a linear layer adds, or None."""
    return None if getattr(module, "bias", None) is None else numbers(module, "bias")


def is_quantized(module: Any) -> bool:
    """Whether bitsandbytes keeps the weight: packed, without gradients of its own."""
    return type(getattr(module, "weight", None)).__name__ in {"Params4bit", "Int8Params"}


def rounds_inputs(module: Any) -> bool:
    """Whether some linear layer inside rounds what it reads to 8 bits, so that no identity holds closer than that."""
    return any(type(getattr(part, "weight", None)).__name__ == "Int8Params" for part in module.modules())


def tensor_float(device: torch.device) -> bool:
    """Whether a card there rounds the factors of float32 products to 10 bits (TF32); torch does so only when told to."""
    if device.type != "cuda":
        return False
    said = getattr(torch.backends.cuda.matmul, "fp32_precision", None)  # newer torch refuses the older question once this is set
    return said == "tf32" if said is not None else torch.get_float32_matmul_precision() != "highest"


def device_of(module: Any) -> torch.device:
    """Where a module computes; an offloaded weight lies elsewhere, or nowhere ("meta")."""
    hook = getattr(module, "_hf_hook", None)
    place = getattr(hook, "execution_device", None)
    return module.weight.device if place is None else torch.device(place)
