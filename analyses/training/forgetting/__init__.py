"""What does fine-tuning cost, where in the network, and is it lost or only misplaced?

The model is fine-tuned here (low-rank updates by `workbench.lab`), or compared with one that
somebody fine-tuned from it.

params.py           what is asked; parts.py: its experiments; costs.py: what they cost
experiment.py       the run; materials.py: texts, facts and the two sets of weights
task_texts.py       rows of the new task, neutral rows, the base's own
old_facts.py        the facts that may be forgotten
fine_tuning.py      a training, measured on the way; given_pair.py: a model that was given
law.py              forgetting against the new task's loss
yardstick.py        what is measured of every mixture of weights
reset_map.py        modules put back; further.py: the path between, CKA by layer
training_stages.py  texts planted in stages; task_sequence.py: tasks one after the other;
                    stage_claims.py, stage_views.py
retention_tests.py  lost or misplaced; answer_probe.py: its probe
findings.py, map_findings.py  what is said; claims.py: what of the papers holds
schema.py           what tables and findings mean
selections.py       what is looked at of a run
views.py            how it looks
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.training.forgetting.card_cells import card
from analyses.training.forgetting.constants import NAME
from analyses.training.forgetting.params import Params
from analyses.training.forgetting.parts import PARTS, PRESETS
from analyses.training.forgetting.schema import SCHEMA
from analyses.training.forgetting.views import ANSWER, VIEWS

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
    "TITLE",
    "VIEWS",
    "Params",
    "card",
    "cost",
    "gives",
    "name",
    "question",
    "run",
    "unavailable_reason",
]

name = NAME
TITLE = "Forgetting"
question = "What does fine-tuning cost, where in the network, and is it lost or only misplaced?"
gives = (
    "How far fine-tuning moved the model on text that is not its own, which modules hold that, and"
    " whether facts that are no longer said are still there."
)


def unavailable_reason(model: InstrumentedModel) -> str | None:
    """Why the model cannot be fine-tuned or mixed with another, or None."""
    from workbench.models import adapters
    from workbench.models.storage import is_offloaded, is_quantized

    if is_quantized(model.module):
        return "its weights are quantized: nothing can be trained or put into them"
    if is_offloaded(model.module):
        return "some of its weights are offloaded"
    if adapters.names(model.module):
        return (
            "it has an adapter attached: open the base, and name the adapter as the fine-tuned"
            " model"
        )
    return None


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """What each part costs."""
    from analyses.training.forgetting import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, one after the other.

    Raises:
        BadInput: facts, texts or a pair that do not do.
        NotFinite: a training whose loss was no number.
    """
    from analyses.training.forgetting import experiment

    return experiment.run(model, params, progress)
