"""When the context contradicts what the model knows, which does it follow, and which attention
heads decide?

Method: Jin et al. 2024 (PH3), with the cautions of Li et al. 2025 (JuICE). Heads are found on one
half of the subjects and proven on the other; docs/methods/knowledge-conflict.md has the definitions
and where it departs, docs/results/knowledge-conflict.md what was measured.

cases.py           which facts, and the prompts that contradict them
answer_rates.py    memory / context / other rates
rank_heads.py      the exact effect of every head, and the ranking
headroom.py        whether anything can be told: at a ceiling no heads are named
held_out_eval.py   pruning on held-out subjects, random sets, what it costs
stability.py       how far the chosen heads hang on the facts that chose them
dial.py            the found heads as one control
transfer.py        heads found on one relation or format, used on all others
schema.py          what its tables and findings mean
views.py           how it looks (selections.py: what of the run one picture shows)
params.py          what is asked
parts.py           the experiments of a run
costs.py           … and what they cost
experiment.py      the run: its parts, one after the other
constants.py       what measuring and showing share
baseline.py        answers before anything is changed, and where heads look
findings.py        findings and their sentences
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.context.knowledge_conflict.card_cells import card
from analyses.context.knowledge_conflict.constants import NAME
from analyses.context.knowledge_conflict.dial import dial as controls
from analyses.context.knowledge_conflict.dial import playground
from analyses.context.knowledge_conflict.params import Params
from analyses.context.knowledge_conflict.parts import PARTS, PRESETS
from analyses.context.knowledge_conflict.schema import SCHEMA
from analyses.context.knowledge_conflict.selections import CHOICES
from analyses.context.knowledge_conflict.views import ANSWER, VIEWS

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
    "card",
    "controls",
    "cost",
    "gives",
    "name",
    "playground",
    "question",
    "run",
    "unavailable_reason",
]

name = NAME
TITLE = "Context against memory"
question = (
    "When my context contradicts what the model knows, which does it follow, and which attention"
    " heads decide?"
)
gives = (
    "How often it believes the context, which heads decide, and what it answers with these heads"
    " switched off."
)


def unavailable_reason(model: InstrumentedModel) -> str | None:
    """Why this model cannot answer, or None."""
    if any(block.out_proj is None for block in model.layout.blocks):
        return "some of its layers have no attention heads that could be switched off."
    return None


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """What each part costs."""
    from analyses.context.knowledge_conflict import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, one after the other."""
    from analyses.context.knowledge_conflict import experiment

    return experiment.run(model, params, progress)
