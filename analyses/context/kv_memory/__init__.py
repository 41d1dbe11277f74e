"""Which of what it has read does the cache have to keep?

A context is read once; every policy at every budget is then one row of a batch of questions over
it, with the keys that it would have evicted hidden (`hooks.kv_cache`).

params.py           what is asked; parts.py: its experiments; costs.py: what they cost
experiment.py       the run
recall_texts.py     the texts, and what is asked of them as tokens
measured_rows.py    questions under one mask each
thinned_caches.py   policies at budgets; thinned_tables.py: rates of them
fewer_numbers.py    fewer channels, fewer bits
block_fetches.py    blocks that are fetched; episodes: where they begin
past_window.py      beyond the trained length
findings.py, part_findings.py  what is said; claims.py: what of the papers holds
schema.py           what tables, arrays and findings mean
selections.py       what is looked at of a run
views.py            how it looks
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.context.kv_memory.constants import NAME
from analyses.context.kv_memory.params import Params
from analyses.context.kv_memory.parts import PARTS, PRESETS
from analyses.context.kv_memory.schema import SCHEMA
from analyses.context.kv_memory.selections import CHOICES
from analyses.context.kv_memory.views import ANSWER, VIEWS

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
    "question",
    "run",
    "unavailable_reason",
]

name = NAME
TITLE = "Cache memory"
question = "Which of what it has read does the cache have to keep?"
gives = (
    "How much is recalled when eviction policies keep a part of the key-value cache, and what each"
    " head keeps."
)


def unavailable_reason(model: InstrumentedModel) -> str | None:
    """Why this model cannot answer, or None."""
    from hooks.kv_cache.context_memory import check_attention
    from workbench.errors import Unfit

    try:
        check_attention(model)
    except Unfit as error:
        return error.what.rstrip(".")
    return None


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """What each part costs."""
    from analyses.context.kv_memory import costs

    return costs.cost(model, params)


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, on each context in turn.

    Raises:
        BadInput, NotFound, Unfit: what cannot be read, a policy that there is not, or a cache that
            cannot be masked.
    """
    from analyses.context.kv_memory import experiment

    return experiment.run(model, params, progress)
