"""What the model answers before anything is changed, and where its heads look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.context.knowledge_conflict import cases as made
from analyses.context.knowledge_conflict.answer_rates import CaseRunner, Rates, rates_of
from analyses.context.knowledge_conflict.constants import ANSWERS
from analyses.context.knowledge_conflict.rank_heads import METHODS, HeadEffects
from workbench.result import Result

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


def _before(result: Result, model: InstrumentedModel, cases: list[made.Case]) -> dict[str, Rates]:
    """What the model does with every conflict prompt, unchanged; rates per half."""
    import pandas as pd

    responses = CaseRunner(model, cases).ask(logp=True)
    memory, context = responses.logp["memory"], responses.logp["context"]
    result.tables["facts"] = pd.DataFrame(
        {
            "fact": range(len(cases)),
            "subject": [c.fact.subject for c in cases],
            "answer": [c.fact.answer for c in cases],
            "counterfactual": [c.counterfactual for c in cases],
            "split": [c.split for c in cases],
            "prompt": [c.prompt.text for c in cases],
            "generated": [s.text.strip() for s in responses.generated],
            "outcome": [
                made.outcome(s.text, c.fact.answer, c.counterfactual, ended=True)
                for s, c in zip(responses.generated, cases, strict=True)
            ],
            "p_memory": np.exp(memory[0]),
            "p_context": np.exp(context[0]),
            "logp_memory": memory[1],
            "logp_context": context[1],
        }
    )
    halves: dict[str, Rates] = {}
    for split in (made.SELECT, made.HELD_OUT):
        rows = [(s, c) for s, c in zip(responses.generated, cases, strict=True) if c.split == split]
        halves[split] = rates_of([s for s, _ in rows], [c for _, c in rows])
    return halves


def _attention(result: Result, model: InstrumentedModel, cases: list[made.Case]) -> np.ndarray:
    """Attention of every head from the last position of every prompt, (fact, layer, head, pos),
    and the tokens.
    """
    import pandas as pd
    import xarray as xr

    from hooks.capture import capture

    trace = capture(model, [c.prompt.text for c in cases], sites="pattern", positions=[-1])
    values = trace["pattern"].isel(query=0).fillna(0.0).values.astype("float16")
    result.arrays["attention"] = xr.DataArray(
        values,
        dims=("fact", "layer", "head", "pos"),
        attrs={"unit": "probability", "query": "last position"},
    )
    rows = [
        {"fact": n, "pos": pos, "token": token, "span": span}
        for n, case in enumerate(cases)
        for pos, (token, span) in enumerate(
            zip(trace.tokens[n], made.token_spans(model, case.prompt), strict=True)
        )
    ]
    result.tables["tokens"] = pd.DataFrame(rows)
    return values


def _effects(found: HeadEffects, facts_: list[int]) -> Any:
    import xarray as xr

    return xr.DataArray(
        found.effects.astype("float32"),
        dims=("fact", "method", "answer", "layer", "head"),
        coords={"fact": facts_, "method": list(METHODS), "answer": list(ANSWERS)},
        attrs={"unit": "logits the head adds to the answer's first token"},
    )
