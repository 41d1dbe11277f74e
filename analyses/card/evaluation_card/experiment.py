"""The run: finished runs are read, and put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.card.evaluation_card import findings
from analyses.card.evaluation_card.collect import cells_of
from analyses.card.evaluation_card.constants import NAME
from analyses.card.evaluation_card.memories import memory_table
from analyses.card.evaluation_card.rows import card_table, differences
from hooks.model import load
from workbench.result import Result

if TYPE_CHECKING:
    from analyses.card.evaluation_card.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Collect what finished runs say of these weights.

    Raises:
        NotFound: no such folder of runs, or second model.
    """
    result = Result(NAME)
    progress(0.0, "Reading finished runs")
    table = card_table(model, cells_of(model.card.weight_hash, params.runs))
    result.tables["card"] = table
    result.tables["memories"] = memory_table(model)
    findings.add_rows(result)
    if params.beside:
        progress(0.4, f"Loading {params.beside}")
        other = load(params.beside, device=str(model.device))
        progress(0.8, "Reading its runs")
        beside = card_table(other, cells_of(other.card.weight_hash, params.runs))
        result.tables["differences"] = differences(table, beside)
        result.provenance.notes["beside"] = other.card.name
        findings.add_differences(result, model.card.name, other.card.name)
    progress(1.0, "Done")
    return result
