"""Would it remember differently if it had read this earlier?

A small model reads blocks of text in one order. From this run alone its weights and losses under
other orders are estimated (gradients expanded, Adam replayed); the same orders are really trained.

params.py     what is asked; costs.py: what it costs
experiment.py the run
blocks.py     what is read
trainee.py    the model that is trained, and what it says of texts
estimates.py  what one run tells of other orders (hooks/gradients/other_orders.py), and TracIn
tables.py, findings.py, claims.py  what is said
schema.py     what tables and findings mean
selections.py what is looked at of a run; views.py: how it looks
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.training.training_order.constants import NAME
from analyses.training.training_order.params import Params
from analyses.training.training_order.schema import SCHEMA
from analyses.training.training_order.views import ANSWER, VIEWS

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.cost import Cost
    from workbench.progress import Progress
    from workbench.result import Result

__all__ = ["ANSWER", "PRESETS", "SCHEMA", "TITLE", "VIEWS", "Params", "cost", "gives", "name",
           "question", "room", "run"]  # fmt: skip

name = NAME
TITLE = "Training order"
room = "training"
question = "Would it remember differently if it had read this earlier?"
gives = (
    "Losses and recited sentences under other orders of reading, estimated from one run and really"
    " trained, beside position and influence."
)
PRESETS = {
    "quick": {"blocks": 5, "steps": 4, "orders": 6, "before": 120, "directions": 0},
    "paper": {"blocks": 12, "orders": 24},
}


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """What the run costs."""
    from analyses.training.training_order import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """One order read, others estimated and trained.

    Raises:
        BadInput, Unfit: texts, orders or a model that cannot be used; each says what to do.
        NotFinite: a training went astray; says at which step.
    """
    from analyses.training.training_order import experiment

    return experiment.run(model, params, progress)
