"""Implicit attention: what a recurrent layer reads of every past token, in the form of an attention
pattern.

    wb.implicit_attention(model, "The capital of France is")              # shares: rows sum to 1
    wb.implicit_attention(model, prompt, layers=3, form="raw")            # signed: rows need not

Ali, Zimerman and Wolf 2024 (Mamba), Zimerman, Ali and Wolf 2024 (all that are linear in state and
values). *Raw* weights are exact: summed over past tokens, weight times value is what the layer
reads (site `state_out`; checked as a row of `wb.contract`). They are signed, and their rows do not
sum to 1. *Shares*, the length of weight times value over the sum of those lengths, are what can be
compared with the probabilities of softmax attention. Where every value channel has a map of its own
(Mamba, RG-LRU, RWKV) the share takes all channels of a head together. A short convolution mixes
four neighbouring tokens before the kernel sees them, so a row is blurred over as many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch

from hooks import sites
from hooks.prompts import Prompt, ids_of
from hooks.recurrent.kernel_inputs import KernelInputs
from hooks.recurrent.weights import attention_weights, squared_lengths
from hooks.state_capture import read_in_parallel
from workbench.errors import BadInput, NotFound
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    import xarray as xr
    from torch import Tensor

    from hooks.model import InstrumentedModel

Form = Literal["share", "raw"]
MOST = 512 * 2**20
"""Bytes that the maps of one block of channels may take while shares are summed."""


@ordinary
@torch.no_grad()
def implicit_attention(
    model: InstrumentedModel,
    prompt: Prompt,
    layers: int | Sequence[int] | None = None,
    *,
    form: Form = "share",
    channels: Sequence[int] | None = None,
) -> xr.DataArray:
    """How much of every past token each token reads out of a layer's recurrent state.

    The cost grows with the square of the prompt's length, and for layers with a map per channel
    with the channels and the state's size too.

    Args:
        prompt: one text, or token ids.
        layers: recurrent ones; None is all. They must have as many heads each.
        form: "share" (rows sum to 1) or "raw" (signed, exact).
        channels: of "raw" where every value channel has its own map (Mamba, RG-LRU, RWKV): which
            of them, counted within the head.

    Returns:
        (layer, state_head, query, key), float32, zero for keys after the query; with `channels`
        (layer, state_head, channel, query, key). Coordinate `token` holds the token strings of the
        keys.

    Raises:
        SiteNotFound: a layer whose kernel cannot be reached, or a model without recurrent layers.
        BadInput: several prompts, "raw" without channels where they are needed, layers whose heads
            differ.
        NotFound: an unknown form.
    """
    import xarray as xr

    if form not in ("share", "raw"):
        raise NotFound.named("form of implicit attention", str(form), ["share", "raw"])
    places = sites.resolve(model.layout, "state_out", layers, model.card.name)
    rows = ids_of(model, prompt)
    if len(rows) != 1:
        raise BadInput(
            f"Implicit attention is of one prompt, and {len(rows)} were given.",
            "a text, or token ids",
            "Call it once for each.",
        )
    reading = read_in_parallel(model, rows[0], places)
    maps, numbers = [], []
    for place in places:
        assert place.layer is not None
        inputs = reading.inputs(place.layer)
        numbers.append(place.layer)
        maps.append(shares_of(inputs) if form == "share" else _raw(inputs, place.layer, channels))
    if len({tuple(each.shape) for each in maps}) > 1:
        raise BadInput(
            f"The layers {numbers} have maps of different shapes.",
            "layers with as many heads and channels",
            "Choose some with `layers`.",
        )
    dims = ["layer", "state_head", "channel", "query", "key"]
    return xr.DataArray(
        torch.stack(maps).cpu().numpy(),
        dims=dims if maps[0].dim() == 4 else [dim for dim in dims if dim != "channel"],
        coords={"layer": numbers, "token": ("key", model.prompt_strings(rows[0]))}
        | ({"channel": list(channels)} if maps[0].dim() == 4 and channels is not None else {}),
        name="implicit_attention",
        attrs={"form": form},
    )


def shares_of(inputs: KernelInputs) -> Tensor:
    """Shares of one prompt in one layer, (state_head, query, key), from its kernel's arguments."""
    if not inputs.per_channel:
        total = squared_lengths(attention_weights(inputs), inputs.v)
    else:
        _, heads, _, width = inputs.state_shape
        step = max(1, MOST // (16 * heads * inputs.n_tokens**2))
        blocks = [slice(i, i + step) for i in range(0, width, step)]
        total = sum(  # type: ignore[assignment]
            squared_lengths(attention_weights(inputs, block), inputs.v[..., block])
            for block in blocks
        )
    lengths = total[0].sqrt()
    return (lengths / lengths.sum(-1, keepdim=True).clamp(min=1e-30)).float()


def _raw(inputs: KernelInputs, layer: int, channels: Sequence[int] | None) -> Tensor:
    """(state_head, query, key), or with `channels` (state_head, channel, query, key)."""
    if not inputs.per_channel:
        if channels is not None:
            raise BadInput(
                f"In layer {layer} one map serves all channels of a head.",
                "no channels",
                "Leave `channels` out.",
            )
        return attention_weights(inputs)[0, :, 0]
    width = inputs.v.shape[-1]
    if not channels or any(not 0 <= channel < width for channel in channels):
        raise BadInput(
            f"In layer {layer} every channel has a map of its own, and channels={channels!r} names"
            " none of them.",
            f"some of 0 to {width - 1}",
            "For example channels=[0, 1]; or take form='share', one map per head.",
        )
    each = [attention_weights(inputs, slice(c, c + 1))[0, :, 0] for c in channels]
    return torch.stack(each, 1)
