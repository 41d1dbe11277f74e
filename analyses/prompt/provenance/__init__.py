"""Where did this answer come from: from the prompt, from the weights, from a recurrent state?

One page says how much of an answer each source gives, with its evidence and how sure it is.

params.py           what is asked; parts.py: its experiments; costs.py: what they cost
experiment.py       the run
prompt_parts.py     the prompt in its parts: context, sentences, question
answer.py           the answer that is asked about
neutral.py          text that stands in the context's place
subject.py          whom the question is about, and how that is kept from the answer
design.py           context × subject (× state): every cell, in nats; states.py: the state
memory_slots.py     slots of memory modules that the answer reads, masked
verdict.py          which source is named, by verdict_rule.py
sentences.py        sentences and tokens taken away
head_groups.py      heads switched off, alone and together
active_features.py  features that are active at the end, taken out
training_influence.py  texts of the training that pull toward the answer
end_reading.py      what comes after a prompt that was read, with changes at its end
question_alone.py   the question without its context
live_prompt.py      a finished run's prompt, asked again with changes
findings.py         what is said
schema.py           what tables and findings mean
selections.py       what is looked at of a run
views.py            how it looks
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.prompt.provenance.constants import NAME
from analyses.prompt.provenance.params import Params
from analyses.prompt.provenance.parts import PARTS, PRESETS
from analyses.prompt.provenance.playground_tab import playground
from analyses.prompt.provenance.schema import SCHEMA
from analyses.prompt.provenance.views import ANSWER, VIEWS

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
    "playground",
    "question",
    "run",
]

name = NAME
TITLE = "Provenance"
question = "Where did this answer come from?"
gives = (
    "How much of an answer came from the prompt, from the weights, or from a recurrent state; which"
    " sentences, tokens and heads brought it; and what is said without them."
)


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """What each part costs."""
    from analyses.prompt.provenance import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, one after the other.

    Raises:
        BadInput: a question or subject that does not stand in the prompt, an answer of no tokens,
            or a prompt beyond the model's window.
    """
    from analyses.prompt.provenance import experiment

    return experiment.run(model, params, progress)
