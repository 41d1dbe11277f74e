"""What happens inside the model on one prompt: patterns, logit lens, direct logit attribution,
norms and neurons.

Everything comes from one forward pass (and one before it, where the answer is not given). It
describes one prompt and is no finding about the model: docs/methods/inside.md has the definitions.

forward_pass.py   what is kept of every site, and what is computed where it passes by
dla.py            the direction of a logit, and what each head writes along it
schema.py         what the tables, arrays and findings mean
selections.py     what is looked at of a run
views.py          how it looks
params.py         what is asked
costs.py          what it costs
experiment.py     the run
findings.py       from one forward pass to tables, arrays and findings
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.prompt.single_prompt.constants import NAME
from analyses.prompt.single_prompt.params import Params
from analyses.prompt.single_prompt.playground_tab import playground
from analyses.prompt.single_prompt.schema import SCHEMA
from analyses.prompt.single_prompt.views import ANSWER, VIEWS

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
TITLE = "Inside one prompt"
question = "What happens inside the model on this prompt?"
gives = "Attention patterns, the logit lens, what each head and neuron adds to the answer."


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """What one run costs."""
    from analyses.prompt.single_prompt import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Look at one prompt."""
    from analyses.prompt.single_prompt import experiment

    return experiment.run(model, params, progress)
