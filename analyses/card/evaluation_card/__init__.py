"""The evaluation card: what runs say of one model's memory, a row for each question, beside what
the same measure gives where there is nothing to find (after Zhang et al. 2025, 2509.18868; the rows
are the workbench's own).

It measures nothing by itself: it reads finished runs of the same weights.

params.py       what is asked
collect.py      cells of finished runs
rows.py         the card's rows, told apart from chance
memories.py     what kinds of memory the model has
experiment.py   the run
findings.py     what is said
schema.py       what tables and findings mean
selections.py   what is looked at of a run
views.py        how it looks
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.card.evaluation_card.constants import NAME
from analyses.card.evaluation_card.params import Params
from analyses.card.evaluation_card.schema import SCHEMA
from analyses.card.evaluation_card.views import ANSWER, VIEWS

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.cost import Cost
    from workbench.progress import Progress
    from workbench.result import Result

__all__ = ["ANSWER", "SCHEMA", "VIEWS", "Params", "cost", "gives", "name", "question", "run"]

name = NAME
TITLE = "Evaluation card"
question = "What is known of this model's memory, all of it together?"
gives = (
    "One page for a model: what finished runs say, a row for each question, with intervals and what"
    " chance gives; and what was not measured yet, with its time."
)


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """Reading runs; the second model is loaded."""
    from workbench.cost import Cost

    return Cost(1, seconds=2.0 + 10.0 * bool(params.beside.strip()))


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Collect what finished runs say.

    Raises:
        NotFound: no such folder of runs, or second model.
    """
    from analyses.card.evaluation_card import experiment

    return experiment.run(model, params, progress)
