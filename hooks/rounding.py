"""How coarse a model's numbers are, and what the control of a sweep says: how far rounding alone
moves what is reported.

Every walk takes along one variant that is never changed. It should end where the model's own pass
ends; in half precision it ends beside it, since kernels round differently for other numbers of
rows. An effect is told from that by being larger.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.quantized_layers import has_int8_inputs, tensor_float

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

# Effects that are not this many times what rounding moves prove little.
CLEAR = 10.0
# Logits that float32 leaves between two ways of computing the same; more comes of a coarser kind of
# number.
FINE = 1e-3


class UnclearEffects(UserWarning):
    """The largest effects of a sweep are of the size of its rounding."""


def spacing_of(model: InstrumentedModel, dtype: torch.dtype = torch.float32) -> float:
    """How far neighbouring numbers lie apart, as a share of them: those of `dtype`, or of what
    products round factors to.

    Linear layers may round what they read to 8 bits (but for columns that are large anywhere in the
    batch), and a card may be told to round to 10.
    """
    spacing = torch.finfo(dtype).eps
    if has_int8_inputs(model.layout.blocks[-1].module):
        spacing = max(spacing, 2.0**-7)
    return max(spacing, 2.0**-10) if tensor_float(model.device) else spacing


@dataclass(frozen=True)
class RoundingControl:
    """The control of one sweep, or of prompts that are read again under changes.

    Attributes:
        error: the largest difference between its logits and the model's own.
        count: how many effects were measured; 0 where they are not known here.
        larger: how many of them are larger than what the control moved, each in its own unit.
        clear: whether the largest of them are at least `CLEAR` times that.
    """

    error: float
    count: int = 0
    larger: int = 0
    clear: bool = True


def of_effects(
    error: float, effects: Float[Tensor, "*components target"], moved: Float[Tensor, "#target"]
) -> RoundingControl:
    """The control of a sweep.

    Args:
        error: see `Control`.
        effects: (…, target), NaN where there is none.
        moved: the largest change of the control in each target's unit, (target,); (1,) where no
            control was run.
    """
    size = effects.abs().nan_to_num(0.0)
    largest = size.flatten(0, -2).amax(0) if size.numel() else torch.zeros_like(moved)
    clear = bool((largest >= CLEAR * moved).any())
    return RoundingControl(
        error, int(torch.isfinite(effects).sum()), int((size > moved).sum()), clear
    )


def note(model: InstrumentedModel, control: RoundingControl) -> None:
    """Keep it for whoever tells of the run; the first unclear one is warned of."""
    if not control.clear and all(before.clear for before in model.controls):
        warnings.warn(says([control]) or "", UnclearEffects, stacklevel=3)
    model.controls.append(control)


def says(controls: Sequence[RoundingControl]) -> str | None:
    """The sentence about the sweeps of a run; None if there were none."""
    if not controls:
        return None
    error, count = (
        max(control.error for control in controls),
        sum(control.count for control in controls),
    )
    text = f"Inside the sweeps the unchanged model ended within {error:.1g} logits of its own pass."
    if count:
        larger = sum(control.larger for control in controls)
        text += f" {larger:,} of {count:,} effects are larger than what that rounding moves."
    if not all(control.clear for control in controls):
        text += (
            f" The largest effects of a sweep are less than {CLEAR:.0f} times that, so which parts"
            " matter cannot be told"
        )
        text += (
            ": load the model in float32."
            if error > FINE
            else ": it seems that no part changes what was measured."
        )
    return text
