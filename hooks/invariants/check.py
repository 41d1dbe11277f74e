"""One identity, and how errors are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

# What float32 leaves of an identity, over some layers. Zamba 2 and Nemotron-H clamp their time step
# in the parallel kernel only, which shows in the fourth digit.
_FLOOR = {"watching": 0.0, "empty": 0.0, "steps": 1e-3, "restored": 1e-3, "write": 1e-3}
# How many times the spacing of the numbers (2^-7 of a bfloat16, 2^-10 of a float16) an identity may
# be off. Rounding a number costs a third of it on the average; what was read token by token has
# been rounded at every layer and token; what a kernel gives, at its output, its skip and its gate.
_SPACINGS = {
    "watching": 0.0,
    "empty": 0.0,
    "steps": 16.0,
    "restored": 16.0,
    "norm": 2.0,
    "implicit attention": 4.0,
}


@dataclass(frozen=True)
class InvariantCheck:
    """One identity: the layers it was checked in (None: it is about the whole model) and the
    largest relative error.

    `spacing` is that of the coarsest numbers in the model, as a share of them. The error is
    infinite where something is not a finite number.
    """

    name: str
    says: str
    layers: tuple[int, ...] | None
    error: float
    spacing: float = torch.finfo(torch.float32).eps

    @property
    def limit(self) -> float:
        """The largest error that is rounding: none at all where nothing may change."""
        return max(_FLOOR.get(self.name, 1e-4), _SPACINGS.get(self.name, 1.0) * self.spacing)

    def holds(self) -> bool:
        """Whether the error is rounding."""
        return self.error <= self.limit

    def __str__(self) -> str:
        where = "" if self.layers is None else f" (layers {', '.join(map(str, self.layers))})"
        allowed = f"of {self.limit:.2g} that rounding explains"
        return (
            f"{self.name}: {self.says}{where}: largest relative error {self.error:.2g}, {allowed}"
        )


def difference(a: Shaped[Tensor, "*axes"], b: Shaped[Tensor, "*axes"]) -> Tensor:
    """0 only if equal bit for bit."""
    return torch.where(a == b, 0.0, (a - b).abs())


def length(x: Tensor, from_: int | None = None) -> Tensor:
    """The length of each token's numbers, (batch, pos, …) to (batch, pos).

    `from_` an axis before those.
    """
    x = x if from_ is None else x.movedim(from_, -1)
    lengths: Tensor = x.float().flatten(2).norm(dim=-1)
    return lengths


def relative_error(
    computed: Tensor, own: Tensor, parts: Tensor | float = 0.0
) -> Float[Tensor, "batch pos"]:
    """How far each token's numbers are from the model's own, as a share of those and of what they
    are the sum of.

    Args:
        computed, own: (batch, pos, …).
        parts: length of the parts, (batch, pos).
    """
    computed, own = computed.float(), own.float()
    difference = torch.where(
        computed == own, 0.0, computed - own
    )  # tokens that are ruled out are minus infinity in both
    finite = torch.where(own.isneginf(), 0.0, own)
    return length(difference) / (length(finite) ** 2 + parts**2).sqrt().clamp(min=1e-12)


def largest(errors: Sequence[Tensor]) -> float:
    """The largest error; infinite if one is not a number."""
    return max(float(e.nan_to_num(nan=float("inf")).max()) for e in errors)
