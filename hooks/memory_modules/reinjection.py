"""An earlier layer's state, stored at one token and added at a later one, beside random vectors and
shuffled states of the same length.

What can be tested of memories that put earlier states back into a text (Contextual Memory
Reweaving, Synaptic Resonance: neither publishes a method): whether the very state counts, or any
push of that size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from hooks.capture import capture
from hooks.interventions import add
from workbench.errors import BadInput
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

SITE = "resid_post"


@dataclass(frozen=True)
class Reinjection:
    """Log-probabilities of a token (nats): as the text is, with the stored state added, with random
    vectors of its length, and with its numbers shuffled.
    """

    plain: float
    stored: float
    random: list[float]
    shuffled: list[float]

    @property
    def beyond(self) -> float:
        """Share of random and shuffled vectors that change the token less than the state does, in
        either direction: near 1 where the very state counts.
        """
        moved = abs(self.stored - self.plain)
        others = [abs(each - self.plain) for each in (*self.random, *self.shuffled)]
        return sum(each < moved for each in others) / len(others)


@ordinary
@torch.no_grad()
def reinject(
    model: InstrumentedModel,
    text: str,
    token: int,
    *,
    stored: tuple[int, int],
    at: tuple[int, int],
    factor: float = 1.0,
    draws: int = 16,
    seed: int = 0,
) -> Reinjection:
    """How likely `token` is behind a text, with a stored state added to the residual stream.

    Args:
        stored: layer and position that the state is taken from, behind the layer.
        at: layer and position that it is added at; a later token, or a later layer.
        factor: times the state.
        draws: random vectors, and as many shuffles.

    Raises:
        BadInput: no such layer or position, or the state would be added before it is there.
    """
    length = len(model.tokens(text))
    for layer, position in (stored, at):
        if not (0 <= layer < model.n_layers and 0 <= position < length):
            raise BadInput(
                f"There is no layer {layer} at token {position} of this text.",
                f"layers 0 to {model.n_layers - 1}, tokens 0 to {length - 1}",
                "Correct `stored` and `at`.",
            )
    if at[1] < stored[1] or (at[1] == stored[1] and at[0] <= stored[0]):
        raise BadInput(
            f"The state of layer {stored[0]} at token {stored[1]} is not there yet at layer"
            f" {at[0]} of token {at[1]}.",
            "a later token, or the same token in a later layer",
            "Correct `at`.",
        )
    trace = capture(model, text, sites=SITE, layers=[stored[0]])
    state = torch.as_tensor(trace[SITE].values)[0, 0, stored[1]].float()
    draw = torch.Generator().manual_seed(seed)

    def with_vector(vector: torch.Tensor) -> float:
        with add(model, vector, site=SITE, layers=at[0], positions=[at[1]], factor=factor):
            return _logp(model, text, token)

    noise = torch.randn(draws, len(state), generator=draw)
    noise *= state.norm() / noise.norm(dim=-1, keepdim=True)
    orders = [torch.randperm(len(state), generator=draw) for _ in range(draws)]
    return Reinjection(
        _logp(model, text, token),
        with_vector(state),
        [with_vector(each) for each in noise],
        [with_vector(state[order]) for order in orders],
    )


def _logp(model: InstrumentedModel, text: str, token: int) -> float:
    return float(model.next_logits(text).float().log_softmax(-1).flatten()[token])
