"""What changing one prompt costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.prompt.intervention.constants import SETS
from analyses.prompt.intervention.params import Params
from hooks.prompts import tokenize
from workbench.cost import Cost
from workbench.models.conversation import typed

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """Two models read the prompt and write the continuation; it is read again for each draw of
    random heads, from the lowest of their layers on: on average, of one head, half a pass.
    """
    n = len(tokenize(model, typed(params.prompt, params.chat)).ids)
    k = len(params.heads)
    above = SETS * k / (k + 1) if k else 0.0  # of k draws from 0 to 1, the lowest is at 1 / (k + 1)
    return Cost((2 + above) * n + 2 * params.length, 2 + above + 2 * params.length)
