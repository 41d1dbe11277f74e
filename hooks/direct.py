"""What a component writes toward a token directly: through the final norm and the unembedding, everything else fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel


@torch.no_grad()
def direct_logits(model: InstrumentedModel, parts: Tensor, resid: Tensor, ids: Tensor) -> Tensor:
    """Logits that residual-stream contributions add to some tokens, with the final norm's scale frozen.

    Args:
        parts: contributions, (..., batch, d_model), e.g. one layer's attention output at the last position.
        resid: the whole residual stream before the final norm, (batch, d_model): it sets the scale.
        ids: the tokens watched, (batch, target).

    Returns:
        (..., batch, target). Linear in `parts`: the parts of the whole stream add up to its logits, less the norm's and
        the unembedding's biases (Elhage et al. 2021, "direct logit attribution"). Before any final soft-cap.
    """
    norm = model.layout.final_norm
    # norm(x) - norm(0) is x over its own scale, times the gain, whatever way the family stores that gain.
    unbiased = norm(parts) - norm(torch.zeros_like(parts))
    scaled = unbiased * (_scale(norm, parts) / _scale(norm, resid))
    return torch.einsum("...bd,btd->...bt", scaled, model.layout.unembed.weight[ids])


def _scale(norm: nn.Module, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True) if isinstance(norm, nn.LayerNorm) else x
    eps = getattr(norm, "variance_epsilon", getattr(norm, "eps", 0.0))
    return (centred.pow(2).mean(-1, keepdim=True) + eps).sqrt()
