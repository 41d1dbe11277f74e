"""How much of this text can be pulled out of the model?

Methods: Carlini et al. 2022 (greedy extraction), Hayes et al. 2024 ((n, p)-discoverable
extraction), Biderman et al. 2023 (memorization score) and the membership scores of Min-K %++;
docs/methods/extraction.md has the definitions, docs/results/extraction.md what was measured.

params.py             what is asked
parts.py              the experiments of a run
costs.py              … and what they cost
experiment.py         the run: its parts, one after the other
membership.py         has the model read this? scores, and how well they tell
findings.py           from scores to tables and findings
documents.py          a verdict for each document (the rule: measures/recited_documents.py)
comparisons.py        … after less context, by another model, earlier in training
access.py             from its beginning only, or from anywhere? (access_findings.py: what it gives)
titled_passages.py    … and after its title?
views.py              how it looks (texts.py: windows and documents as markup; access_view.py)
selections.py         what of the tables it shows
scored_windows.py     windows, their scores, and what follows from both
tables.py             the tables of a run
schema.py             what tables and findings mean
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.measures import text_source
from analyses.weights.extraction.card_cells import card
from analyses.weights.extraction.constants import NAME
from analyses.weights.extraction.params import Params
from analyses.weights.extraction.parts import PARTS, PRESETS
from analyses.weights.extraction.schema import SCHEMA
from analyses.weights.extraction.views import ANSWER, VIEWS

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
    "card",
    "cost",
    "gives",
    "name",
    "preview",
    "question",
    "run",
]

name = NAME
TITLE = "Extraction of a text"
ON_WORKERS = True
question = "How much of this text can be pulled out of the model?"
gives = (
    "Which passages of your text or files the model recites word for word, and after how many"
    " queries."
)


def preview(model: InstrumentedModel, params: Params) -> TextPreview | None:
    """How the texts will be cut."""
    longest = max(params.context)
    return text_source.preview(
        model, params, longest, params.suffix, params.stride, params.max_windows
    )


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """What each part costs."""
    from analyses.weights.extraction import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Read every window once, then say what that means."""
    from analyses.weights.extraction import experiment

    return experiment.run(model, params, progress)
