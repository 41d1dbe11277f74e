"""Gates of a long short-term memory, as they stand while texts are read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.states import mixers_of
from workbench.state_lm.lstm import LSTMMixer

if TYPE_CHECKING:
    from torch import nn

    from hooks.model import InstrumentedModel


def gated_layers(model: InstrumentedModel) -> list[int]:
    """Layers that are an LSTM."""
    return [n for n, mixer in mixers_of(model).items() if isinstance(mixer, LSTMMixer)]


@torch.no_grad()
def read_gates(
    model: InstrumentedModel, ids: Sequence[Sequence[int]], layers: Sequence[int]
) -> dict[int, Float[Tensor, "prompt pos gate channel"]]:
    """By layer, the rows of `workbench.state_lm.lstm`: input, forget and output gates, 0 to 1, and
    the candidate, -1 to 1. One pass over texts of one length.
    """
    found: dict[int, Tensor] = {}

    def keep(layer: int, module: nn.Module, args: tuple[Tensor]) -> None:
        found[layer] = args[0].detach().float().cpu()

    with ExitStack() as stack:
        for layer, mixer in mixers_of(model).items():
            if layer in layers and isinstance(mixer, LSTMMixer):
                hook = mixer.gates.register_forward_pre_hook(partial(keep, layer))
                stack.callback(hook.remove)
        batch = model.batch([list(each) for each in ids])
        model.forward(**batch.kwargs(), use_cache=False, logits_to_keep=1)
    return found
