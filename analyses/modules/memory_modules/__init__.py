"""Which slot was read, who wrote it, and what is lost without it?

A model's memory modules through `hooks.memory_modules`; of a model without one the neurons of its
feed-forward layers, which can be read the same way (Geva et al. 2021).

params.py           what is asked; parts.py: its experiments; costs.py: what they cost
experiment.py       the run
questions.py        the facts: those an organism was trained on, or those a model knows
fact_slots.py       which slots a fact reads, over all memories of a model
raster.py           what each token of a text reads, and what is written
masking.py          what is lost when a fact's slots are masked
definitions.py      what was defined far back, of a memory of tokens
updates.py          what is retained of a stream of updates; update_findings.py says it
document.py         a document's keys and values outside of the prompt
usage.py            how often slots are read
slot_values.py      what values promote; another fact's values in a fact's slots
answer_share.py     what is left without each part, and gates
findings.py         what is said; claims.py: what of the papers holds
schema.py           what the tables and findings mean
selections.py       what is looked at of a run
views.py            how it looks
live_slots.py       facts that somebody types, while they look on; playground_tab.py: their tab
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.modules.memory_modules.constants import NAME
from analyses.modules.memory_modules.params import Params
from analyses.modules.memory_modules.parts import PARTS, PRESETS, no_slots
from analyses.modules.memory_modules.playground_tab import playground
from analyses.modules.memory_modules.schema import SCHEMA
from analyses.modules.memory_modules.views import ANSWER, VIEWS

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.cost import Cost
    from workbench.progress import Progress
    from workbench.result import Result

__all__ = [
    "ANSWER", "PARTS", "PRESETS", "SCHEMA", "VIEWS", "Params", "cost", "gives", "name",
    "playground", "question", "run", "unavailable_reason",
]  # fmt: skip

name = NAME
TITLE = "Memory modules"
question = "Which slot was read, who wrote it, and what is lost without it?"
gives = (
    "The slots of a memory token by token, what is lost when a fact's slots are masked, which slots"
    " are never read, and what another fact's values bring."
)


def unavailable_reason(model: InstrumentedModel) -> str | None:
    """Why this model cannot answer, or None."""
    return no_slots(model)


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """What each part costs."""
    from analyses.modules.memory_modules import costs

    return costs.by_part(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, one after the other.

    Raises:
        BadInput: fewer than two facts that the model knows.
    """
    from analyses.modules.memory_modules import experiment

    return experiment.run(model, params, progress)
