"""Part `facts`: which answers it gives closed-book."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.weights.audit.recall_pairs import recall_cost, recalled

if TYPE_CHECKING:
    from analyses.weights.audit.material import AuditMaterial
    from analyses.weights.audit.params import Params
    from hooks.model import InstrumentedModel
    from workbench.cost import Cost
    from workbench.progress import Progress
    from workbench.result import Result

_PROMPT, _ANSWER = 20, 4  # tokens, about


def cost(model: InstrumentedModel, params: Params, facts: int) -> Cost:
    """Of so many facts."""
    return recall_cost(model, min(facts, params.facts), _PROMPT, _ANSWER)


def run(
    model: InstrumentedModel,
    params: Params,
    material: AuditMaterial,
    progress: Progress,
    result: Result,
) -> None:
    """Adds the table `facts`."""
    facts = material.facts
    if len(facts) > params.facts:
        draw = random.Random(f"{params.seed} facts")
        facts = [facts[i] for i in sorted(draw.sample(range(len(facts)), params.facts))]
    if not facts:
        return
    prompts = [list(model.text.encode(fact.prompt)) for fact in facts]
    answers = [model.continuation_tokens(f" {fact.answer}") for fact in facts]
    found = recalled(model, prompts, answers, ["facts"] * len(facts), params.seed, progress)
    result.tables["facts"] = pd.DataFrame({
        "name": [fact.name for fact in facts],
        "prompt": [fact.prompt for fact in facts],
        "answer": [fact.answer for fact in facts],
        "comes_out": found.own,
        "guessed": np.where(found.has_other, found.other, False),
        "has_control": found.has_other,
        "queries": found.queries,
    })  # fmt: skip
