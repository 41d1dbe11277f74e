"""The few weights that texts to forget depend on more than others do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hooks.eager_eval import steady
from hooks.unlearning.texts import Text, nats
from hooks.weights import requires_grad

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

MOST = 64  # texts to retain whose gradients are read


def contrast_mask(
    model: InstrumentedModel,
    names: Sequence[str],
    forget: Sequence[Text],
    retain: Sequence[Text],
    share: float,
    report: Callable[[float, str], None],
) -> list[Tensor]:
    """Places in each parameter, counted in its flat form, whose gradient on what is to be forgotten
    most exceeds the root mean square of those of single texts to retain.

    After Stoehr et al. 2024, whose mask is the largest gradients alone.

    Args:
        names: of parameters, all of which share the places.
        share: of all their entries.
    """
    parameters = [model.module.get_parameter(name) for name in names]
    whole = [torch.zeros_like(p, dtype=torch.float32) for p in parameters]
    typical = [torch.zeros_like(p, dtype=torch.float32) for p in parameters]
    others = retain[:MOST]
    many = len(forget) + len(others)
    with requires_grad(parameters), steady(model.module):
        for n, text in enumerate([*forget, *others]):
            report(n / many, f"Reading gradients, text {n} of {many}")
            with torch.enable_grad():
                found = torch.autograd.grad(nats(model, [text])[0], parameters, allow_unused=True)
            for total, square, gradient in zip(whole, typical, found, strict=True):
                if gradient is None:
                    continue
                if n < len(forget):
                    total += gradient.float() / len(forget)
                else:
                    square += gradient.float().square() / len(others)
    excess = [
        (total.abs() - square.sqrt()).clamp(min=0).flatten()
        for total, square in zip(whole, typical, strict=True)
    ]
    return _largest(excess, max(1, round(share * sum(map(len, excess)))))


def _largest(sizes: Sequence[Tensor], many: int) -> list[Tensor]:
    """The places of the largest of all, in each."""
    chosen = torch.cat([each.cpu() for each in sizes]).topk(many).indices.sort().values
    found, start = [], 0
    for each in sizes:
        own = chosen[(chosen >= start) & (chosen < start + len(each))] - start
        found.append(own.to(each.device))
        start += len(each)
    return found
