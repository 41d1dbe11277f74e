"""On which way does the model reach this fact?

Causal tracing, attention knockout, extraction events and attribute enrichment, all exact, through
the sweeps of `hooks.sweeps`.

params.py           what is asked; parts.py: its experiments; costs.py: what they cost
experiment.py       the run; tracing.py: its maps; further.py: wordings, languages, edits
traced_facts.py     the facts that the model knows, as tokens
corruption.py       how a subject is corrupted
maps.py             what comes back where; fact_sites.py: the early and the late site
knockout.py         whom the last token has to see
extraction.py       which layers and heads write the answer
enrichment.py       what can be read from the last subject token
shared_maps.py      what maps in other words and languages have in common
best_layer.py       whether tracing tells the layer to edit
findings.py, part_findings.py  what is said; claims.py: what of the papers holds
schema.py           what tables, arrays and findings mean
selections.py       what is looked at of a run
views.py            how it looks
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.weights.fact_tracing.constants import NAME
from analyses.weights.fact_tracing.params import Params
from analyses.weights.fact_tracing.parts import PARTS, PRESETS
from analyses.weights.fact_tracing.schema import SCHEMA
from analyses.weights.fact_tracing.selections import CHOICES
from analyses.weights.fact_tracing.views import ANSWER, VIEWS

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.cost import Cost
    from workbench.progress import Progress
    from workbench.result import Result

__all__ = [
    "ANSWER",
    "CHOICES",
    "PARTS",
    "PRESETS",
    "SCHEMA",
    "VIEWS",
    "Params",
    "cost",
    "gives",
    "name",
    "question",
    "run",
]

name = NAME
TITLE = "Fact tracing"
question = "On which way does the model reach this fact?"
gives = (
    "Which tokens and layers carry a fact from the subject to the answer, whom the last token has"
    " to see, and which layers write the answer."
)


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """What each part costs."""
    from analyses.weights.fact_tracing import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, one after the other.

    Raises:
        BadInput: a fact that the model does not know, or that cannot be traced.
    """
    from analyses.weights.fact_tracing import experiment

    return experiment.run(model, params, progress)
