"""If I change this fact in the weights, does it hold, and what else moves?

The methods are a library (`hooks.editing`); this analysis only measures.
docs/methods/edit-ledger.md has the definitions.

params.py            what is asked; parts.py: its experiments; costs.py: what they cost
experiment.py        the run
cases.py             the facts, their new answers, and every question that is asked
methods.py           every way to change a fact as one thing, and the random null
asking.py            what the model answers
elsewhere.py         neutral text, other facts, the way it writes
single.py            one edit at a time
layer_sweep.py       the same in several layers
ledger.py            edits that follow each other, and one taken out again
rates.py             from answers to rates
findings.py          from tables to sentences; ledger_findings.py: of edits in sequence
claims.py            what of the papers holds
weight_edits.py      a finished run's changes, as controls and as files
schema.py            what tables, arrays and findings mean
playground_tab.py    a tab to type and change one fact
selections.py        what is looked at of a run
views.py             how it looks
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.weights.edit_ledger.card_cells import card
from analyses.weights.edit_ledger.constants import NAME
from analyses.weights.edit_ledger.params import Params
from analyses.weights.edit_ledger.parts import PARTS, PRESETS
from analyses.weights.edit_ledger.playground_tab import playground
from analyses.weights.edit_ledger.schema import SCHEMA
from analyses.weights.edit_ledger.selections import CHOICES
from analyses.weights.edit_ledger.views import ANSWER, VIEWS
from analyses.weights.edit_ledger.weight_edits import changes, controls

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
    "changes",
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
TITLE = "Edit ledger"
question = "If I change this fact in the weights, does it hold, and what else moves?"
gives = (
    "Which ways of changing a fact reach other wordings, what they cost everywhere else, and how"
    " many edits survive those that follow."
)


def unavailable_reason(model: InstrumentedModel) -> str | None:
    """Why this model cannot answer, or None."""
    from hooks.editing.down_projections import default_layer
    from workbench.errors import WorkbenchError

    try:
        default_layer(model)
    except WorkbenchError as error:
        return f"its facts cannot be edited: {error.what[0].lower()}{error.what[1:]}"
    return None


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """What each part costs."""
    from analyses.weights.edit_ledger import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, one after the other.

    Raises:
        BadInput: facts that the model does not know, or a layer that cannot be edited.
        Unfit: a model without down projections.
    """
    from analyses.weights.edit_ledger import experiment

    return experiment.run(model, params, progress)
