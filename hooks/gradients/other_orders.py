"""Weights under another order of the training text, estimated from one run.

At step i of another order the gradient is wanted at weights that nobody has. It is expanded around
the reference run's weights of the same step (first order: gradient plus Hessian times the
distance), and the optimizer is replayed on what comes out:

    g~ = g_b(theta_i) + H_b(theta_i) (gamma_i - theta_i),    gamma_{i+1} = gamma_i - AdamW(g~)

with theta the reference, gamma the estimate and b what the other order reads at this step. Where a
loss is quadratic in the weights this is exact, whatever the optimizer. After FUT (2505.22042,
withdrawn from ICLR 2026), with two differences: Adam is replayed instead of expanded, and the
Hessian acts exactly instead of through stored random projections; `Expansion.basis` shows what a
low-dimensional store would lose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.gradients.flat_weights import slope_and_change
from workbench.errors import BadInput, NotFinite
from workbench.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

Loss = Callable[[Tensor, int], Tensor]
"""(weights, batch) -> the loss that an update lowers."""


@dataclass(frozen=True)
class AdamRule:
    """AdamW as `workbench.lab` uses it: no weight decay, gradients clipped to a norm.

    Attributes:
        rates: learning rate of every step.
        clip: longest gradient; None leaves them as they are.
    """

    rates: Sequence[float]
    betas: tuple[float, float] = (0.9, 0.95)
    epsilon: float = 1e-8
    clip: float | None = 1.0


@dataclass
class AdamWalk:
    """Weights on their way, with Adam's two averages; moments begin at zero."""

    rule: AdamRule
    weights: Float[Tensor, " weights"]
    step: int = 0
    first: Float[Tensor, " weights"] = field(init=False)
    second: Float[Tensor, " weights"] = field(init=False)

    def __post_init__(self) -> None:
        self.weights = self.weights.clone()
        self.first = torch.zeros_like(self.weights)
        self.second = torch.zeros_like(self.weights)

    def scale(self) -> Float[Tensor, " weights"]:
        """What Adam divides an update by, as its averages are now: sqrt(v) corrected for the zeros
        they began with, plus epsilon.
        """
        corrected = self.second / (1 - self.rule.betas[1] ** max(1, self.step))
        return corrected.sqrt() + self.rule.epsilon

    def update(self, gradient: Float[Tensor, " weights"]) -> None:
        """One update by this gradient.

        Raises:
            NotFinite: the gradient is no number.
        """
        norm = gradient.norm()
        if not torch.isfinite(norm):
            raise NotFinite(
                f"The estimate is not a finite number at step {self.step + 1}.",
                "an expansion that stays near the run it is made from",
                "Lower the learning rate, or take fewer steps.",
            )
        if self.rule.clip is not None:
            gradient = gradient * (self.rule.clip / (norm + 1e-6)).clamp(max=1.0)
        one, two = self.rule.betas
        self.first.lerp_(gradient, 1 - one)
        self.second.mul_(two).addcmul_(gradient, gradient, value=1 - two)
        rate = self.rule.rates[self.step]
        self.step += 1
        rate /= 1 - one**self.step
        self.weights.addcdiv_(self.first, self.scale(), value=-rate)


@dataclass(frozen=True)
class Expansion:
    """How gradients are guessed.

    Attributes:
        hessian: False takes the reference run's gradients as they are (order zero).
        basis: per step, orthonormal directions (directions, weights) onto which the distance is
            projected before the Hessian acts: what an estimate would be if only the Hessian's
            action on them had been stored. None lets it act on the whole distance.
    """

    hessian: bool = True
    basis: Sequence[Float[Tensor, "_ weights"]] | None = None

    def seen(self, step: int, distance: Float[Tensor, " weights"]) -> Float[Tensor, " weights"]:
        """What the Hessian acts on."""
        if self.basis is None:
            return distance
        return self.basis[step].T @ (self.basis[step] @ distance)


def estimate(
    loss: Loss,
    path: Sequence[Float[Tensor, " weights"]],
    orders: Sequence[Sequence[int]],
    rule: AdamRule,
    expansions: Mapping[str, Expansion],
    progress: Progress | None = None,
    after: Callable[[int, Mapping[str, Sequence[AdamWalk]]], None] | None = None,
) -> dict[str, list[Float[Tensor, " weights"]]]:
    """Estimated weights at the end of other orders.

    Args:
        loss: of a batch at some weights.
        path: the reference run's weights before each step.
        orders: per order and step, the number of the batch that is read.
        expansions: by name; gradients are shared between them.
        after: called before each step with (step, walks by expansion, one for each order).

    Returns:
        By expansion, the weights behind the last step, one vector for each order.

    Raises:
        BadInput: an order with another number of steps.
        NotFinite: an estimate that went astray.
        Cancelled: from `progress`.
    """
    steps = len(path)
    if any(len(order) != steps for order in orders) or len(rule.rates) != steps:
        raise BadInput(
            f"An order or the rates do not have the {steps} steps of the run.",
            "one batch and one rate for each step",
            "Give as many.",
        )
    walks = {name: [AdamWalk(rule, path[0]) for _ in orders] for name in expansions}
    for step, at in enumerate(path):
        if after is not None:
            after(step, walks)
        for batch in sorted({order[step] for order in orders}):
            here = [n for n, order in enumerate(orders) if order[step] == batch]
            _updates(loss, batch, step, at, here, expansions, walks)
        if progress is not None:
            progress((step + 1) / steps, f"Estimating step {step + 1} of {steps}")
    return {name: [walk.weights for walk in each] for name, each in walks.items()}


def _updates(
    loss: Loss,
    batch: int,
    step: int,
    at: Tensor,
    orders: Sequence[int],
    expansions: Mapping[str, Expansion],
    walks: Mapping[str, Sequence[AdamWalk]],
) -> None:
    """One step of all orders that read this batch now."""
    distances = {
        (name, n): expansion.seen(step, walks[name][n].weights - at)
        for name, expansion in expansions.items()
        if expansion.hessian
        for n in orders
    }
    # Nothing is to be corrected as long as an order has read what the reference read.
    distances = {key: away for key, away in distances.items() if bool(away.any())}
    gradient, products = slope_and_change(
        lambda weights: loss(weights, batch), at, list(distances.values())
    )
    changes = dict(zip(distances, products, strict=True))
    for name in expansions:
        for n in orders:
            change = changes.get((name, n))
            walks[name][n].update(gradient if change is None else gradient + change)
