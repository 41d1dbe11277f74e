"""I asked the model to forget this. Is it gone, hidden, or one step away?

The methods are a library (`hooks.unlearning`); this analysis only measures.
docs/methods/unlearning-audit.md has the definitions.

params.py            what is asked; parts.py: its experiments; costs.py: what they cost
experiment.py        the run
sets.py              the passages: to forget, to keep, never read
questions.py         what is asked about them in other words
subjects.py          the models that are audited, and those beside them
methods.py           forgetting by one method; finished_methods.py: what a stop would cost
criteria.py          what is left, by every measure (criterion.py: their names); memorized.py:
                     what one pass says
folds.py             more to forget, and one fold after another
attacks.py           every attack on every model; recovery.py: what relearning brings back;
                     further.py: those not in a default run
relearning.py, rounding_attack.py, sampling_attack.py, lens.py, probes.py, restore.py, prompting.py
                     one attack each; block_weights.py: the weights they look at
spreading.py         facts forgotten by random labels, a concept erased: fact_tasks.py (relations as
                     tasks), answer_probes.py, fact_groups.py (words), spreading_findings.py
verdicts.py          one verdict for each model
findings.py          from tables to sentences; attack_findings.py: of attacks
claims.py            what of the papers holds
weight_changes.py    a finished run's changes, as controls and as files
schema.py            what tables, arrays and findings mean; further_schema.py: of further.py
selections.py        what is looked at of a run
views.py             how it looks
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.weights.unlearning_audit.card_cells import card
from analyses.weights.unlearning_audit.constants import NAME
from analyses.weights.unlearning_audit.params import Params
from analyses.weights.unlearning_audit.parts import PARTS, PRESETS
from analyses.weights.unlearning_audit.schema import SCHEMA
from analyses.weights.unlearning_audit.views import ANSWER, VIEWS
from analyses.weights.unlearning_audit.weight_changes import changes, controls

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
    "card",
    "changes",
    "controls",
    "cost",
    "gives",
    "name",
    "question",
    "run",
    "unavailable_reason",
]

name = NAME
TITLE = "Unlearning audit"
question = "I asked the model to forget this. Is it gone, hidden, or one step away?"
gives = (
    "What ways of unlearning leave of passages, beside a model that never read them, what they cost"
    " elsewhere, and what brings the passages back."
)


def unavailable_reason(model: InstrumentedModel) -> str | None:
    """Why this model cannot answer, or None."""
    from analyses.weights.unlearning_audit.block_weights import block_matrices
    from workbench.errors import WorkbenchError

    try:
        block_matrices(model)
    except WorkbenchError as error:
        return f"its weights cannot be changed: {error.what[0].lower()}{error.what[1:]}"
    return None


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """What each part costs."""
    from analyses.weights.unlearning_audit import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, one after the other.

    Raises:
        BadInput: no passages to forget, sets that overlap, or a model of other tokens.
        Unfit: weights that cannot be changed.
    """
    from analyses.weights.unlearning_audit import experiment

    return experiment.run(model, params, progress)
