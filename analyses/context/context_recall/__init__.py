"""What in a long prompt does the model still find, and what makes it lose the rest?

params.py           what is asked; parts.py: its experiments; costs.py: what they cost
experiment.py       the run
needle_grid.py      facts hidden in other text: by depth and length, and by wording
variance.py         what explains recall; score_tables.py: rates of what was asked
controls.py         texts whose truth is known
serial_position.py  lists of pairs, by place
interference.py     items between against distance, and pairs that compete
recall_heads.py     where heads look when the answer is said
head_ablation.py    what is lost with heads off; head_sets.py: the first ones of a table
further_tasks.py    tasks by request
own_contexts.py     a user's own file
findings.py, list_findings.py, head_findings.py  what is said; claims.py: what of the papers holds
schema.py           what tables, arrays and findings mean
selections.py       what is looked at of a run
views.py            how it looks
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.context.context_recall.card_cells import card
from analyses.context.context_recall.constants import NAME
from analyses.context.context_recall.params import Params
from analyses.context.context_recall.parts import PARTS, PRESETS
from analyses.context.context_recall.schema import SCHEMA
from analyses.context.context_recall.selections import CHOICES
from analyses.context.context_recall.views import ANSWER, VIEWS

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
    "cost",
    "gives",
    "name",
    "question",
    "run",
]

name = NAME
TITLE = "Context recall"
question = "What in a long prompt does the model still find, and what makes it lose the rest?"
gives = (
    "How often facts and list items are found by depth, length, place and wording, what gets in the"
    " way, and which heads fetch them."
)


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """What each part costs."""
    from analyses.context.context_recall import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, one after the other.

    Raises:
        BadInput: contexts that do not fit, or answers that cannot be asked for.
    """
    from analyses.context.context_recall import experiment

    return experiment.run(model, params, progress)
