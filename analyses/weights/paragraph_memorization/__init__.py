"""Where in the network is this passage stored, and can it be removed there?

Method: Stoehr et al. 2024 (Localizing Paragraph Memorization), on any model;
docs/methods/paragraph-memorization.md has the definitions and where this departs,
docs/results/paragraph-memorization.md which claims of the paper replicate.

params.py          what is asked
parts.py           the experiments of a run
costs.py           … and what they cost
experiment.py      the run: its parts, one after the other
constants.py       names that measuring and showing share; how many passages are taken
groups.py          memorized, partly, and not memorized passages that are alike
triggers.py        which tokens of the prefix bring a passage back
gradient_maps.py   which weights its loss pulls at
patching.py        where a passage and its perturbed twin part
heads.py           rare tokens, triggers, and the exact effect of every head; held-out passages
edit.py            unlearning and rewriting with a thousandth of the weights
claims.py          which claims of the paper replicate
findings.py        from numbers to tables and findings
weight_edits.py    a finished run's changes of weights: as controls, as files
schema.py          what its tables and findings mean
views.py           how it looks (selections.py: what of the run is shown)
edit_findings.py   what unlearning and rewriting did
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.measures import text_source
from analyses.weights.paragraph_memorization.card_cells import card
from analyses.weights.paragraph_memorization.constants import NAME
from analyses.weights.paragraph_memorization.params import Params
from analyses.weights.paragraph_memorization.parts import PARTS, PRESETS
from analyses.weights.paragraph_memorization.schema import SCHEMA
from analyses.weights.paragraph_memorization.selections import CHOICES
from analyses.weights.paragraph_memorization.views import ANSWER, VIEWS
from analyses.weights.paragraph_memorization.weight_edits import changes, controls
from workbench.errors import Unfit

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.cost import Cost
    from workbench.progress import Progress
    from workbench.result import Result
    from workbench.text_preview import TextPreview

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
    "preview",
    "question",
    "run",
    "unavailable_reason",
]

name = NAME
TITLE = "Where a passage is stored"
question = "Where in the network is this passage stored, and can it be removed there?"
gives = (
    "The tokens, layers, heads and weights that a recited passage depends on, and a model without"
    " it."
)


def unavailable_reason(model: InstrumentedModel) -> str | None:
    """Why this model cannot answer, or None."""
    from hooks.gradients.weights import weights

    if any(block.out_proj is None for block in model.layout.blocks):
        return "some of its layers have no attention heads that could be switched off."
    try:
        if not weights(model):
            return (
                "its weight matrices are stored in a way that the workbench cannot read, so"
                " gradients cannot be assigned to them."
            )
    except Unfit as error:
        return f"its weights take no gradient ({error.what})"
    limit = model.positions
    return f"its {limit} positions are too few for a passage." if limit and limit < 8 else None


def preview(model: InstrumentedModel, params: Params) -> TextPreview | None:
    """How the texts will be cut: one passage after the other."""
    length = params.prefix + params.suffix
    return text_source.preview(
        model, params, params.prefix, params.suffix, length, params.max_windows
    )


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """What each part costs."""
    from analyses.weights.paragraph_memorization import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Find the passages, then run the parts that are asked for."""
    from analyses.weights.paragraph_memorization import experiment

    return experiment.run(model, params, progress)
