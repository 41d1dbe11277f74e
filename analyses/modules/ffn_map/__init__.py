"""Where in the feed-forward layers do capabilities and facts sit?

params.py        what is asked; parts.py: its experiments; costs.py: what they cost
experiment.py    the run
reading.py       one pass over the prompts: what is kept of every neuron
precision.py     how well a neuron alone tells a capability, and what the best would by chance
mapping.py       the map, block by block of layers; choosing.py: sets of neurons and their controls
ablation.py      the matrix of capabilities and sets; sparsity.py: the smallest activations masked
key_value.py     what single neurons fire on and promote
coactivation.py, partitions.py  groups of neurons that are active together
findings.py      what is said; claims.py: what of the papers holds
schema.py        what tables, arrays and findings mean
selections.py    what is looked at of a run
views.py         how it looks
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.modules.ffn_map.constants import NAME
from analyses.modules.ffn_map.params import Params
from analyses.modules.ffn_map.parts import PARTS, PRESETS
from analyses.modules.ffn_map.schema import SCHEMA
from analyses.modules.ffn_map.selections import CHOICES
from analyses.modules.ffn_map.views import ANSWER, VIEWS

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
    "TITLE",
    "VIEWS",
    "Params",
    "cost",
    "gives",
    "name",
    "question",
    "run",
    "unavailable_reason",
]

name = NAME
TITLE = "FFN map"
question = "Where in the feed-forward layers do capabilities and facts sit?"
gives = (
    "Which neurons tell code, arithmetic, facts and other capabilities apart, and what each"
    " capability loses without its own neurons, another's, or matched ones."
)


def unavailable_reason(model: InstrumentedModel) -> str | None:
    """Why this model has no neurons to map, or None."""
    from hooks.neurons import reason_without_neurons

    return reason_without_neurons(model)


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """What each part costs."""
    from analyses.modules.ffn_map import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, one after the other.

    Raises:
        BadInput: prompts that will not do, or a neuron or layer that the model does not have.
        Unfit: no neuron of this model can be read.
    """
    from analyses.modules.ffn_map import experiment

    return experiment.run(model, params, progress)
