"""Direct logit attribution: what every part of the stream writes toward the answer, the final
norm's scale frozen.

With that scale frozen the logit (before a soft-cap) is a sum over everything that was ever added to
the residual stream (Elhage et al. 2021): the embedding, each layer's attention and MLP, and the
constant of the biases. What no named part explains is called "rest" and not hidden, so the parts
always add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from hooks.logit_attribution import direct_logits
from hooks.sites import SITES, Place, has
from hooks.weights import bias_of, dense_weight, dtype_of

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.layout import Block
    from hooks.model import InstrumentedModel

_AT_ONCE = 512  # rows of the identity in one step, for models with wide streams


@dataclass(frozen=True)
class Direction:
    """The direction of the stream that is read off as the logit (or the difference of two).

    Attributes:
        vector: (d_model,), float32; `part @ vector / scale` is what a part adds, in logits.
        constant: what is added whatever the stream holds: biases of the final norm and the
            unembedding, in logits.
    """

    vector: Tensor
    constant: float


def unavailable_reason(model: InstrumentedModel) -> str:
    """Why the logit of this model is no sum over its parts; "" if it is."""
    layout = model.layout
    if layout.ln_final is None or layout.ln_final.centred is None:
        return (
            "the final norm is neither a LayerNorm nor an RMSNorm, so the logit is not a sum over"
            " components"
        )
    if layout.head_gain != layout.head_gain or layout.logit_scale != layout.logit_scale:
        return "more than a norm and a matrix lies between the last layer and the logits"
    return ""


@torch.no_grad()
def direction(model: InstrumentedModel, answer: int, other: int | None) -> Direction:
    """Of the answer's logit, or of the answer's minus the other's.

    Before a soft-cap, if the family has one.
    """
    layout, norm = model.layout, model.layout.ln_final
    assert norm is not None  # `why_not` has been asked
    ids = torch.tensor([answer] if other is None else [answer, other], device=model.device)
    signs = torch.tensor([1.0, -1.0][: len(ids)], dtype=torch.float32)
    weight = dense_weight(layout.unembed, ids)
    factor = layout.head_gain * layout.logit_scale
    rows = []
    one = torch.ones(1, layout.d_model, dtype=weight.dtype, device=weight.device)
    for basis in torch.eye(layout.d_model, dtype=weight.dtype, device=weight.device).split(
        _AT_ONCE
    ):
        given = direct_logits(model, basis[:, None], one, ids[None].to(weight.device))
        rows.append((given.float() * norm.scale(one)[0])[:, 0].cpu() @ signs)
    zero = layout.final_norm(torch.zeros_like(one)) * layout.head_gain
    bias = bias_of(layout.unembed)
    biased = torch.nn.functional.linear(zero, weight, None if bias is None else bias[ids])
    constant = float((biased.float() * layout.logit_scale).cpu()[0] @ signs)
    return Direction((torch.cat(rows) * factor).to(model.device), constant)


@torch.no_grad()
def head_contributions(
    model: InstrumentedModel, layer: int, z: Tensor, attn_out: Tensor, along: Direction
) -> Tensor | str:
    """What each head adds along a direction, before the final norm's scale: (pos, head); or why
    that cannot be told.

    A norm behind the output matrix (Gemma 2) is frozen like the final one. The output matrix's bias
    is nobody's.

    Args:
        z: the heads' outputs, (pos, head, d_head).
        attn_out: what attention adds to the stream, (pos, d_model): the heads have to add up to it.
    """
    block = model.layout.blocks[layer]
    if block.out_proj is None or not has(model.layout, Place(SITES["result"], layer)):
        return "the output matrix of its attention is not stored as plain weights"
    # The module's own method and not a call: a call would set off the hooks that are looking.
    whole = block.out_proj.forward(z.flatten(-2)).float()
    gain = _gain(block, whole, attn_out.float())
    if gain is None:
        return "more than a matrix and a norm lies between its heads and the residual stream"
    per_channel, per_pos = gain
    matrix: Any = block.out_proj
    weight = dense_weight(matrix).T
    heads = weight.float().reshape(block.n_heads, -1, weight.shape[-1])
    read = torch.einsum("hed,d->he", heads, per_channel * along.vector.to(heads.device))
    return torch.einsum("phe,he->ph", z.float(), read) * per_pos[:, None]


def _gain(block: Block, whole: Tensor, added: Tensor) -> tuple[Tensor, Tensor] | None:
    """How the output matrix's product becomes what is added: a factor per channel and one per
    position, checked.
    """
    assert block.attn_out is not None
    exact = (
        1e-4 if block.out_proj is not None and dtype_of(block.out_proj) == torch.float32 else 3e-2
    )
    ones = torch.ones_like(whole[0])
    gains = [ones]
    norm: Any = block.attn_out.module
    if getattr(norm, "weight", None) is not None and norm.weight.dim() == 1:
        # Up to a constant that the factor per position takes up.
        gains.append(norm.forward(ones.to(dtype_of(norm))).float())
    for gain in gains:
        shaped = whole * gain
        factor = (shaped * added).sum(-1) / shaped.pow(2).sum(-1).clamp(min=1e-20)
        if float((shaped * factor[:, None] - added).abs().max()) <= exact * max(
            float(added.abs().max()), 1e-6
        ):
            return gain, factor
    return None
