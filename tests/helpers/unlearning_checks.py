"""What unlearning is judged by: the weights before it, and what the texts cost the model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def weights(model: Any) -> dict[str, Tensor]:
    """A copy of every parameter, by its name."""
    return {name: p.detach().clone() for name, p in model.module.named_parameters()}


def same(model: Any, before: dict[str, Tensor]) -> bool:
    """Whether the weights are, bit for bit, those of before."""
    return all(torch.equal(p, before[n]) for n, p in model.module.named_parameters())


def nats(model: Any, texts: Any) -> float:
    """The mean loss on the texts, nats per token."""
    from hooks.unlearning.texts import nats_of_all

    return float(nats_of_all(model, texts).mean())


def nats_on(model: Any, done: Any, texts: Any, share: float = 1.0) -> float:
    """The same with a share of a change on the model."""
    with done.applied(model, share):
        return nats(model, texts)
