"""What lies between a down projection and the residual stream: nothing, a constant, or a norm.

Where a norm follows the MLP (Gemma, OLMo 2), what is written is not what is added. A change of the
stream is then led back to what the down projection has to write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from workbench.errors import Unfit

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

_FLAT = 1e-2
"""Of the largest gain: channels with less are left as they are."""


def normed_after(model: InstrumentedModel, layer: int) -> bool:
    """Whether what the MLP adds to the stream is not what its down projection gives, but what a
    norm makes of it.
    """
    block = model.layout.blocks[layer]
    return block.mlp_out is not None and block.mlp_out.module not in (block.mlp, block.down_proj)


def norm_note(model: InstrumentedModel, layer: int) -> list[str]:
    """Whether something stands between the down projection and the stream."""
    if not normed_after(model, layer):
        return []
    return [
        f"Layer {layer} has a norm behind its MLP: the value is what the down projection writes,"
        " before that norm."
    ]


@torch.no_grad()
def added_to_stream(
    model: InstrumentedModel, layer: int, written: Float[Tensor, "row d_model"]
) -> Float[Tensor, "row d_model"]:
    """What the layer's MLP adds to the stream when its down projection gives this."""
    term = model.layout.blocks[layer].mlp_out
    scale = 1.0 if term is None else term.scale
    if term is None or not normed_after(model, layer):
        return written * scale
    like = next(term.module.parameters(), written)
    normed: Tensor = term.module(written.to(like)).float() * scale
    return normed


@torch.no_grad()
def to_be_written(
    model: InstrumentedModel,
    layer: int,
    written: Float[Tensor, "row d_model"],
    wanted: Float[Tensor, "row d_model"],
) -> Float[Tensor, "row d_model"]:
    """What the down projection has to give besides, so that the stream gains `wanted`.

    Behind a norm only the direction counts: the sum is taken back through the gain, at the size
    that is written now. Exact where the norm can give it.

    Raises:
        Unfit: a norm that is not a gain on an RMS norm.
    """
    term = model.layout.blocks[layer].mlp_out
    scale = 1.0 if term is None else term.scale
    if term is None or not normed_after(model, layer):
        return wanted / scale
    now = added_to_stream(model, layer, written) / scale
    gain = added_to_stream(model, layer, torch.ones_like(written[:1])) / scale
    size = written.pow(2).mean(-1, keepdim=True).sqrt()
    if not torch.allclose(
        now, gain * written / size, rtol=1e-2, atol=1e-2 * float(now.abs().max())
    ):
        raise Unfit(
            f"What stands behind the MLP of layer {layer} is no RMS norm, so a change of the"
            " stream cannot be led back to the matrix before it.",
            "a model with an RMS norm there, or none",
            "Use ROME, whose value is what the matrix writes.",
        )
    usable = gain.abs() > _FLAT * gain.abs().max()
    target = torch.where(
        usable, (now + wanted / scale) / torch.where(usable, gain, 1.0), written / size
    )
    return size * target - written
