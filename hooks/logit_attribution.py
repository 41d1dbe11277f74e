"""What a component writes toward a token directly: through the final norm and the unembedding,
everything else fixed.

The final norm divides by the size of the stream. *Frozen*, it divides by that of the unchanged run:
linear, additive over components, the parts of the whole stream sum to the logits. *Recomputed*, it
divides by that of the changed stream: the true effect, and for a norm without bias the frozen
logits times one factor per variant.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hooks.eager_eval import running
from hooks.weights import apply, dense_weight
from workbench.errors import Unfit

if TYPE_CHECKING:
    from torch import nn

    from hooks.layout import NormLayer
    from hooks.model import InstrumentedModel


@torch.no_grad()
def direct_logits(
    model: InstrumentedModel,
    parts: Float[Tensor, "*parts prompt d_model"],
    resid: Float[Tensor, "prompt d_model"],
    ids: Int[Tensor, "prompt target"],
) -> Float[Tensor, "*parts prompt target"]:
    """Logits that residual-stream contributions add to some tokens, with the final norm's scale
    frozen.

    Args:
        parts: contributions, (..., batch, d_model), e.g. one layer's attention output at the last
            position.
        resid: the whole residual stream before the final norm, (batch, d_model): it sets the scale.
        ids: the tokens watched, (batch, target).

    Returns:
        (..., batch, target). Linear in `parts`: the parts of the whole stream add up to its logits,
        less the norm's and the unembedding's biases (Elhage et al. 2021, "direct logit
        attribution"). Before any logit scaling and soft-cap.
    """
    scaled = _scaled(_norm(model), parts, resid)
    rows = dense_weight(model.layout.unembed, ids.flatten())
    return torch.einsum("...bd,btd->...bt", scaled, rows.view(*ids.shape, -1).to(scaled))


@torch.no_grad()
def unembed_direction(
    model: InstrumentedModel, vectors: Float[Tensor, "*rows d_model"]
) -> Float[Tensor, "*rows d_vocab"]:
    """What vectors in the residual stream add to every logit directly, but for the final norm's
    scale, (..., d_vocab).

    The order of tokens is that of the logits added to any stream; their sizes are to be divided by
    its scale.

    Raises:
        Unfit: the final norm is neither a LayerNorm nor an RMSNorm.
    """
    norm = _norm(model)
    scaled = _unbiased(norm, vectors) * norm.scale(vectors)[..., None]
    return apply(model.layout.unembed, scaled, biased=False)


@contextmanager
def frozen_norm(model: InstrumentedModel, resid: Float[Tensor, "*rows d_model"]) -> Iterator[None]:
    """The final norm divides by the scale of `resid`, (d_model,) or what broadcasts to its
    input, while inside.
    """
    norm = _norm(model)

    def keep_scale(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        bias: Tensor = module.forward(args[0].new_zeros(args[0].shape[-1]))
        return bias + _scaled(norm, args[0], resid)

    handle = norm.module.register_forward_hook(keep_scale)
    try:
        with running(norm.module):
            yield
    finally:
        handle.remove()


def _norm(model: InstrumentedModel) -> NormLayer:
    norm = model.layout.ln_final
    if norm is None or norm.centred is None:
        raise Unfit(
            f"The final norm of {model.card.name} is neither a LayerNorm nor an RMSNorm.",
            "norm='recomputed'",
            "Recompute it.",
        )
    return norm


def _scaled(norm: NormLayer, parts: Tensor, resid: Tensor) -> Tensor:
    return _unbiased(norm, parts) * (norm.scale(parts) / norm.scale(resid))[..., None]


def _unbiased(norm: NormLayer, parts: Tensor) -> Tensor:
    """norm(x) - norm(0): x over its own scale, times the gain, whatever way the family stores
    that gain.
    """
    normed: Tensor = norm.module.forward(parts)
    bias: Tensor = norm.module.forward(parts.new_zeros(parts.shape[-1]))
    return normed - bias
