"""A module's loss as a function of all its weights in one vector: its gradient there, and the
gradient's derivative along a direction, at weights that the module need not have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from hooks import metrics
from workbench.errors import BadInput
from workbench.lab.training import padded

if TYPE_CHECKING:
    from torch import nn

    from workbench.lab.stages import Rows

Along = Callable[[Tensor], Tensor]
"""A direction in weights -> the gradient's derivative along it (the Hessian times it)."""


class FlatLoss:
    """The mean loss of rows of tokens (nats per predicted token, as `workbench.lab` learns it) at
    any weights.

    Args:
        module: a causal language model of transformers; it keeps its weights. Parameters that
            several parts share count once.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.names = [name for name, _ in module.named_parameters()]
        self._shapes = [p.shape for p in module.parameters()]
        self.size = sum(p.numel() for p in module.parameters())

    def weights(self) -> Float[Tensor, " weights"]:
        """A copy of what the module has now."""
        return torch.cat([p.detach().flatten() for p in self.module.parameters()])

    @torch.no_grad()
    def put_in(self, weights: Float[Tensor, " weights"]) -> None:
        """Give the module these."""
        for parameter, value in zip(self.module.parameters(), self._split(weights), strict=True):
            parameter.copy_(value)

    def loss(
        self,
        weights: Float[Tensor, " weights"],
        rows: Rows,
        froms: Sequence[int] | None = None,
    ) -> Float[Tensor, ""]:
        """Nats per predicted token of the rows, padded as the lab pads them.

        Args:
            froms: per row, the first token that counts.
        """
        ids, mask, labels = padded(rows, froms, weights.device)
        given = dict(zip(self.names, self._split(weights), strict=True))
        # Only the plain kernel has second derivatives.
        with sdpa_kernel(SDPBackend.MATH):
            out = torch.func.functional_call(
                self.module,
                given,
                (),
                {"input_ids": ids, "attention_mask": mask, "labels": labels, "use_cache": False},
            )
        loss: Tensor = out.loss
        return loss

    def row_losses(self, weights: Float[Tensor, " weights"], rows: Rows) -> Float[Tensor, " row"]:
        """Nats per predicted token of each row."""
        ids, mask, _ = padded(rows, None, weights.device)
        given = dict(zip(self.names, self._split(weights), strict=True))
        with sdpa_kernel(SDPBackend.MATH):
            out = torch.func.functional_call(
                self.module,
                given,
                (),
                {"input_ids": ids, "attention_mask": mask, "use_cache": False},
            )
        found: Tensor = metrics.loss(out.logits, ids, mask)
        return found

    def row_slopes(
        self,
        weights: Float[Tensor, " weights"],
        rows: Rows,
        direction: Float[Tensor, " weights"],
    ) -> Float[Tensor, " row"]:
        """How fast each row's loss rises as the weights move along a direction: the product of
        every row's gradient with it, by one forward-mode pass over all rows; no row's gradient is
        made.
        """
        slopes: Tensor = torch.func.jvp(
            lambda at: self.row_losses(at, rows), (weights.detach(),), (direction,)
        )[1]
        return slopes.detach()

    def gradient(
        self,
        weights: Float[Tensor, " weights"],
        rows: Rows,
        froms: Sequence[int] | None = None,
    ) -> Float[Tensor, " weights"]:
        """Of the loss, by the weights. `froms`: see `loss`."""
        return slope(lambda at: self.loss(at, rows, froms), weights)

    def _split(self, weights: Tensor) -> list[Tensor]:
        if weights.shape != (self.size,):
            raise BadInput(
                f"There are {weights.numel():,} weights for a model of {self.size:,}.",
                "one number for each",
                "Take them from this model.",
            )
        parts = weights.split([shape.numel() for shape in self._shapes])
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]


def slope(
    loss: Callable[[Tensor], Tensor], weights: Float[Tensor, " weights"]
) -> Float[Tensor, " weights"]:
    """The gradient of a function of a vector of weights."""
    with torch.enable_grad():
        at = weights.detach().requires_grad_()
        (found,) = torch.autograd.grad(loss(at), at)
    return found


def slope_and_change(
    loss: Callable[[Tensor], Tensor],
    weights: Float[Tensor, " weights"],
    directions: Sequence[Float[Tensor, " weights"]],
) -> tuple[Float[Tensor, " weights"], list[Float[Tensor, " weights"]]]:
    """(gradient, the Hessian times each direction): exact Hessian-vector products by a second
    backward pass each (Pearlmutter 1994); the Hessian itself is never made.
    """
    with torch.enable_grad():
        at = weights.detach().requires_grad_()
        (found,) = torch.autograd.grad(loss(at), at, create_graph=True)
        products = [
            torch.autograd.grad(found, at, grad_outputs=direction, retain_graph=True)[0]
            for direction in directions
        ]
    return found.detach(), products
