"""What does this model give away of my documents, personal data, facts and test items?

Methods: Carlini et al. 2022 and Hayes et al. 2024 (what comes out word for word), Oren et al. 2023
and Ni et al. 2024 (the order of a test's options), Golchin and Surdeanu 2023 (guided completion);
docs/methods/audit.md has the rules of the verdicts.

params.py          what is asked; parts.py: for each kind of material
material.py        what is given, sorted by what stands in it
table_rows.py      facts and test items, row by row
field_patterns.py  fields of personal data, and the patterns that find them
recall_pairs.py    does an answer come out after its prompt, and after a foreign one?
*_part.py          the kinds of material, each with its cost
experiment.py      the run; costs.py: what it costs
kind_rates.py      how many of each kind come out, and the verdicts
findings.py        these in words
schema.py          what tables and findings mean
selections.py      what is looked at of them
views.py           how it looks
playground_tab.py  the page *Audit this model*
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.weights.audit.constants import NAME
from analyses.weights.audit.params import Params
from analyses.weights.audit.parts import PARTS, PRESETS
from analyses.weights.audit.playground_tab import playground
from analyses.weights.audit.schema import SCHEMA
from analyses.weights.audit.views import ANSWER, VIEWS

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.cost import Cost
    from workbench.progress import Progress
    from workbench.result import Result
    from workbench.text_preview import TextPreview

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
    "preview",
    "question",
    "run",
]

name = NAME
TITLE = "Audit"
question = "What does this model give away of my texts, personal data, facts and tests?"
gives = (
    "A verdict in plain words for each kind of material, beside what comes out where there is"
    " nothing to find, and as a PDF."
)


def preview(model: InstrumentedModel, params: Params) -> TextPreview | None:
    """What each file is taken for."""
    from analyses.weights.audit import material

    return material.preview(model, params)


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """What each part costs."""
    from analyses.weights.audit import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Ask each kind of material that is given."""
    from analyses.weights.audit import experiment

    return experiment.run(model, params, progress)
