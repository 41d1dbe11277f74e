"""How much can this memory hold, and what sets the limit?

A model reads pairs of a key and a value and is asked for values (MQAR, Arora et al. 2023): how many
it recalls, from which place, after a gap, read twice (Arora et al. 2024), bound again. Stored
organisms say how that depends on the bytes of state; an outer-product memory (Cabannes et al. 2023)
says what the law is where everything is known. docs/methods/recall-capacity.md has the definitions.

(rows of pairs, and what is asked of them: ../../measures/pair_questions.py)
measure.py         what a model answers
recall.py          one model: number, order, gap, repeats, binding again
stored.py          the stored organisms on fresh rows
state_size.py      … their recall against bytes of state
designs.py         … how a budget of state is divided, what a start does, what is forgotten
outer_product.py   a memory that is a sum of outer products, and its theory
error_laws.py      its error over dimensions, fitted
memories.py        a hybrid without its attention, and without its state
head_capacity.py   layers of attention on sets of random examples (head_sets.py: over heads)
chains.py          transformers on chains of associations (chain_order.py: which link is first)
eidetic.py         the state's error of every pair (exact_pairs.py: which are kept beside it)
task_maps.py       small models on few tasks and many (task_table.py: the stored trainings)
small_fits.py      what small models hold (recitation.py, vocabulary_fit.py, sentence_memory.py)
claims.py          what of the papers holds here
schema.py          what its tables and findings mean
views.py           how it looks (selections.py: what of the run one picture shows;
                   small_model_views.py: … of small models)
params.py          what is asked
parts.py           the experiments of a run
costs.py           … and what they cost
experiment.py      the run: its parts, one after the other
constants.py       what measuring and showing share
findings.py        findings of one model's recall and their sentences
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.state.recall_capacity.constants import NAME
from analyses.state.recall_capacity.params import Params
from analyses.state.recall_capacity.parts import PARTS, PRESETS
from analyses.state.recall_capacity.schema import SCHEMA
from analyses.state.recall_capacity.views import ANSWER, VIEWS

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.cost import Cost
    from workbench.progress import Progress
    from workbench.result import Result

__all__ = [
    "ANSWER",
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
TITLE = "Recall capacity"
question = "How much can this memory hold, and what sets the limit?"
gives = (
    "How many pairs the model recalls from its context, which of them it loses first, and how that"
    " grows with the bytes of state."
)


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """What each part costs."""
    from analyses.state.recall_capacity import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, one after the other."""
    from analyses.state.recall_capacity import experiment

    return experiment.run(model, params, progress)
