"""How much the token embeddings vary where they enter the first layer: the measure of noise in
causal tracing.

Gemma multiplies its embeddings by the square root of their size, Granite by a constant, Bloom
normalises them: the weights alone say nothing of how large the stream is that noise is added to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from hooks.backends import torch_hooks
from hooks.backends.hook_request import HookRequest
from hooks.sites import SITES, Place
from hooks.weights import dense_weight
from hooks.without_interventions import undisturbed

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel

_TOKENS = 512  # drawn evenly from the vocabulary


@torch.no_grad()
def embedding_sigma(model: InstrumentedModel, of: Sequence[int] | None = None) -> float:
    """Standard deviation of all numbers of all token embeddings, as the first layer gets them; or
    of those of some tokens (Meng et al. 2022: of the subjects).

    Position embeddings are left out where they are added to the tokens' own; what is normalised
    after that sum enters as it is. From one pass of some hundred single tokens up to the first
    layer, without changes that may be on.

    Args:
        of: token ids, as often as they are to count.
    """
    weight = dense_weight(model.layout.embed)
    drawn_at = torch.linspace(
        0, min(len(weight), model.card.d_vocab) - 1, _TOKENS, dtype=torch.float64
    ).long()
    tokens = drawn_at if of is None else torch.tensor(list(of))
    entered: dict[str, Tensor] = {}

    def take(place: Place, x: Tensor) -> None:
        entered[place.site.short] = x[:, 0].double().cpu()

    places = [Place(SITES["resid_pre"], 0)]
    places += [Place(SITES["pos_embed"], None)] if "pos_embed" in model.sites else []
    with undisturbed(model.module):
        ids = tokens.tolist()
        torch_hooks.run(
            model,
            model.batch([[i] for i in ids]),
            [HookRequest([place], take) for place in places],
            every_logit=False,
        )
    drawn, stream = weight[tokens.to(weight.device)].double().cpu(), entered["resid_pre"]
    own = stream - entered.get("pos_embed", torch.zeros(()))
    if of is not None:
        return float(own.std())
    if drawn.shape == own.shape:
        times = float((own * drawn).sum() / drawn.square().sum())
        if (
            own - times * drawn
        ).norm() <= 0.02 * own.norm():  # a constant times the weights: then of all tokens
            return times * float(weight.float().std())
    return float(stream.std())
