"""What looking at one prompt costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.prompt.single_prompt.params import Params
from hooks.prompts import tokenize
from workbench.cost import Cost
from workbench.models.conversation import typed

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """One pass that is looked at; one before it where the answer is not given; and one for the
    sites that are kept whole.
    """
    n = len(tokenize(model, typed(params.prompt, params.chat)).ids)
    passes = 1 + (not params.answer.strip()) + bool(params.sites)
    patterns = model.n_layers * model.n_heads * n * n
    stream = 3 * model.n_layers * n * model.card.d_model
    return Cost(passes * n, passes, bytes=4 * (patterns + stream))
