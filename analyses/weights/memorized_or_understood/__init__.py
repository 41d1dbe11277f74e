"""Did it solve this, or has it seen it?

Every part is a module of its own, NAME_part.py, with NAME_schema.py (what its tables mean) and
NAME_view.py (how they look); parts.py says how another one is added.

params.py       what is asked; parts.py: its experiments
experiment.py   the run, and what it costs
schema.py, views.py  those of the parts together; answer.py: what is said first
puzzle_sets.py  which puzzles are asked
claims.py       what of the papers holds; card_cells.py: what the evaluation card gets
selections.py, items_selections.py  what is looked at of a run
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.weights.memorized_or_understood.card_cells import card
from analyses.weights.memorized_or_understood.constants import NAME
from analyses.weights.memorized_or_understood.params import Params
from analyses.weights.memorized_or_understood.parts import PARTS, PRESETS
from analyses.weights.memorized_or_understood.schema import SCHEMA
from analyses.weights.memorized_or_understood.views import ANSWER, VIEWS

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
    "card",
    "cost",
    "gives",
    "name",
    "question",
    "run",
]

name = NAME
TITLE = "Memorized or understood"
question = "Did it solve this, or has it seen it?"
gives = (
    "Whether the model answers other wordings, changed and fresh items as well as those it may have"
    " read, beside what chance and the options alone give."
)


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """What each part costs."""
    from analyses.weights.memorized_or_understood import experiment

    return experiment.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, one after the other.

    Raises:
        BadInput, Unfit: what a part cannot be asked with; each says what to do.
    """
    from analyses.weights.memorized_or_understood import experiment

    return experiment.run(model, params, progress)
