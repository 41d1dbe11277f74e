"""Part `facts`: which answers it gives closed-book."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.weights.audit.constants import TOO_LONG
from analyses.weights.audit.recall_pairs import fits, recall_cost, recalled

if TYPE_CHECKING:
    from analyses.weights.audit.material import AuditMaterial
    from analyses.weights.audit.params import Params
    from analyses.weights.audit.table_rows import FactQuestion
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
    facts: list[FactQuestion] = []
    prompts: list[list[int]] = []
    answers: list[list[int]] = []
    draw = random.Random(f"{params.seed} facts")
    for fact in material.drawn(material.facts, params.facts, draw, "fact"):
        prompt = list(model.text.encode(fact.prompt))
        answer = model.continuation_tokens(f" {fact.answer}")
        if fits(model, prompt, answer):
            facts.append(fact)
            prompts.append(prompt)
            answers.append(answer)
        else:
            material.leave_out(fact.name, TOO_LONG)
    if not facts:
        return
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
