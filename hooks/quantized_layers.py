"""What quantized layers do to numbers: whether they round what they read, and whether a gradient
passes them. Measured once per layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch

from hooks.weights import (
    as_it_computes,
    device_of,
    dtype_of,
    evaluated,
    innermost,
    is_embedding,
    is_quantized,
    known_sizes,
    output_for,
    sizes,
)
from workbench.errors import Unfit
from workbench.models.storage import keep_four_bits

if TYPE_CHECKING:
    from torch import nn


def has_int8_inputs(module: nn.Module) -> bool:
    """Whether some linear layer inside rounds what it reads (to 8 bits, say), so that no identity
    holds closer than that.

    What such a layer gives for a sum of two inputs is not the sum of what it gives for each.
    """
    return any(
        _rounds(part) for part in module.modules() if not list(part.children()) and _may_round(part)
    )


def check_gradients(module: nn.Module, name: str) -> None:
    """Refuse a model in which no gradient passes some quantized layer; everything before it would
    seem to have none.

    Args:
        name: what the model is called in the message.

    Raises:
        Unfit: names the kind of layer.
    """
    for part in module.modules():
        if not list(part.children()) and _may_round(part) and not _passes_gradients(part):
            raise Unfit(
                f"No gradient passes the quantized layers of {name}"
                f" ({type(innermost(part)).__name__}).",
                "a model whose layers can be differentiated",
                "Load the model without quantization.",
            )


_passing: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def _passes_gradients(layer: nn.Module) -> bool:
    """Whether what a layer gives depends on what it reads, as far as autograd knows. Tried once."""
    if layer not in _passing and (known_sizes(layer) is None or is_embedding(layer)):
        _passing[layer] = True
    if layer not in _passing:
        keep_four_bits(layer)
        with evaluated(layer), torch.enable_grad():
            x = torch.randn(1, 4, sizes(layer)[1], generator=torch.Generator().manual_seed(0))
            x = x.to(device_of(layer), dtype_of(layer)).requires_grad_()
            total = layer.forward(x).float().sum()
            slope = (
                torch.autograd.grad(total, x, allow_unused=True)[0] if total.requires_grad else None
            )
        _passing[layer] = slope is not None and bool((slope != 0).any())
    return _passing[layer]


def _may_round(part: nn.Module) -> bool:
    """Whether a quantizer made this layer: it packs the weight, or is one of those that
    `transformers` puts in.
    """
    put_in = (
        type(part).__module__.startswith("transformers.integrations.")
        and known_sizes(part) is not None
    )
    return put_in or is_quantized(part)


_measured: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def _rounds(layer: nn.Module) -> bool:
    if layer not in _measured:
        # What is no single matrix (packed experts) cannot be measured so: it may.
        _measured[layer] = known_sizes(layer) is None or (
            not is_embedding(layer) and _measure(layer)
        )
    return _measured[layer]


def _measure(layer: nn.Module) -> bool:
    draw = torch.Generator().manual_seed(0)
    with as_it_computes(layer):
        a, b = torch.randn(2, 4, sizes(layer)[1], generator=draw)
        nothing = torch.zeros(1, 1, len(a[0]))
        one, two, both, zero = (
            output_for(layer, x).float() for x in (a[None], b[None], (a + b)[None], nothing)
        )
        exact = 1e-4 if dtype_of(layer) == torch.float32 else 3e-2
        return bool((both - one - two + zero).abs().max() > exact * both.abs().max())


def tensor_float(device: torch.device) -> bool:
    """Whether a card there rounds the factors of float32 products to 10 bits (TF32); torch does
    so only when told to.
    """
    if device.type != "cuda":
        return False
    # Newer torch refuses the older question once this is set.
    precision = getattr(torch.backends.cuda.matmul, "fp32_precision", None)
    if precision is not None:
        return bool(precision == "tf32")
    return torch.get_float32_matmul_precision() != "highest"
