"""Whether what is captured is what the model computes: identities that hold on any decoder,
measured on this one.

    for line in contract(model): print(line)

Each identity recomputes a value of the forward pass from other captured values and gives the
largest error of any token: the length of the difference, as a share of the length of what is
compared and of the parts that it is the sum of. Rounding is a share of those, whatever the model (a
stream of 1,000 and heads that cancel included), so one limit for a kind of number does. A site that
a model does not have drops the identities that need it; the reason stands in
`Block.unavailable_reason`. `docs/reference/architectures.md` is made from this.

check.py: one identity and its error; forward_pass.py: those of one pass; recurrent.py: those of
recurrent layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from hooks.eager_eval import steady
from hooks.invariants.check import InvariantCheck
from hooks.invariants.forward_pass import CapturedPass
from hooks.invariants.recurrent import recurrent_checks
from hooks.prompts import ids_of

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

__all__ = ["TEXT", "InvariantCheck", "contract"]

TEXT = "The capital of France is Paris."


@torch.no_grad()
def contract(model: InstrumentedModel, prompt: str | Sequence[int] = TEXT) -> list[InvariantCheck]:
    """Check every identity that this model has the sites for.

    None holds where a value is not a finite number.

    Args:
        prompt: text or token ids; a dozen tokens show everything.
    """
    (ids,) = ids_of(model, prompt)
    with steady(model.module):
        captured = CapturedPass(model, ids)
    checks = [*captured.whole(), *captured.per_layer()]
    if any(block.states for block in model.layout.blocks):
        checks += recurrent_checks(model, ids, captured)
    return checks
