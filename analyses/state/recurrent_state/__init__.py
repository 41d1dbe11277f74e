"""What is this model still holding from what it read, and what wrote over it?

Everything follows from what the kernels of recurrent layers are given in one pass over a text, in
the notation of `hooks.recurrent`; what it means is checked by changing states and asking again.

params.py            what is asked; parts.py: its experiments; costs.py: what they cost
experiment.py        the run
layers.py            which layers have a state that can be read
shown.py             the text that is looked at
ledger.py            what a layer's state holds, loses and gets; reading.py, reading_findings.py
pair_rows.py         rows of pairs; kernels.py: what was heard while they were read
pair_edits.py        a pair erased or rewritten; pair_changes.py: over many rows, as tables
live_pairs.py        the same while somebody looks on; playground_tab.py: its tab
fresh.py             a check: all wiped is a fresh prompt
interference.py      what a question finds in a crowded state; forgotten.py: which pairs fail
probes.py            what a linear probe finds; probe_tables.py: with its controls
fading.py            how it fades behind other text, and whether renewing the state cures it
router.py            which memory of a mixture, and what silencing one takes away
followed_answer.py   the question whose answer is followed in the next three
wiping.py            where the answer is held
spans.py             what a stretch of the text gives to it
patching.py          how far another prompt's states move it
gates_and_kernels.py how long channels remember by themselves; kernel_curves.py: their curves
delayed.py           models of delayed recall
schema.py            what tables, arrays and findings mean
selections.py        what is looked at of a run
views.py             how it looks; question_views.py: of the answer that is followed;
                     gate_views.py: of kernels and gates
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.state.recurrent_state.constants import NAME
from analyses.state.recurrent_state.layers import unavailable_reason
from analyses.state.recurrent_state.params import Params
from analyses.state.recurrent_state.parts import PARTS, PRESETS
from analyses.state.recurrent_state.playground_tab import playground
from analyses.state.recurrent_state.schema import SCHEMA
from analyses.state.recurrent_state.selections import CHOICES
from analyses.state.recurrent_state.views import ANSWER, VIEWS

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
    "cost",
    "gives",
    "name",
    "playground",
    "question",
    "run",
    "unavailable_reason",
]

name = NAME
TITLE = "Recurrent state"
question = "What is this model still holding from what it read, and what wrote over it?"
gives = (
    "What every token writes and loses, which pairs can still be read, and whether the answer"
    " follows when one of them is rewritten."
)


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """What each part costs."""
    from analyses.state.recurrent_state import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, one after the other.

    Raises:
        BadInput: a layer without a state, pairs or a prompt that cannot be read.
    """
    from analyses.state.recurrent_state import experiment

    return experiment.run(model, params, progress)
