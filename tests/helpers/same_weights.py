"""Whether a model's weights are what they were."""

from __future__ import annotations

from typing import Any

import torch


def weights_of(model: Any) -> list[torch.Tensor]:
    """Copies of all of a model's parameters, each in its own shape."""
    return [p.detach().clone() for p in model.module.parameters()]


def same(before: list[torch.Tensor], model: Any) -> bool:
    """Whether every parameter equals, bit for bit, what `weights_of` gave."""
    return all(torch.equal(a, b) for a, b in zip(before, model.module.parameters(), strict=True))
