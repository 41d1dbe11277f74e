"""What changes in the answer to one prompt when heads are switched off, or a dial is turned?

What *Try a prompt* shows, as a run: the model as it is beside the model as changed. A change is
heads that are zeroed at all positions, and a control that a finished run gives.

params.py         what is asked
experiment.py     the run
costs.py          what it costs
random_heads.py   the control: as many random heads off instead
schema.py         what tables and findings mean
views.py          how it looks
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.prompt.intervention.constants import NAME
from analyses.prompt.intervention.params import Params
from analyses.prompt.intervention.schema import SCHEMA
from analyses.prompt.intervention.views import ANSWER, VIEWS
from workbench.playground import FIRST_TAB, Form, Playground

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.cost import Cost
    from workbench.progress import Progress
    from workbench.result import Result

__all__ = [
    "ANSWER",
    "SCHEMA",
    "VIEWS",
    "Params",
    "cost",
    "gives",
    "name",
    "playground",
    "question",
    "run",
]

name = NAME
question = "What changes in the answer to a prompt if I switch a head off?"
gives = "Next tokens, two answers and the continuation, of the model as it is and as changed."
playground = Playground(form=Form(FIRST_TAB, "Try a prompt"))


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """What one run costs."""
    from analyses.prompt.intervention import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Read and continue the prompt twice.

    Raises:
        BadInput, NotFound: a head, run or control that there is not.
    """
    from analyses.prompt.intervention import experiment

    return experiment.run(model, params, progress)
