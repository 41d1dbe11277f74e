"""The run: its parts, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.state.recall_capacity import claims, error_laws, recall, state_size
from analyses.state.recall_capacity.constants import NAME
from analyses.state.recall_capacity.costs import stages as costs
from analyses.state.recall_capacity.params import Params
from analyses.state.recall_capacity.parts import PARTS
from workbench.cost import of_parts, stages
from workbench.parts import running
from workbench.result import Result

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts that are asked for, one after the other. The package's docstring names them.

    Raises:
        BadInput: rows longer than the model can read, or more pairs than there are words for.
    """
    wanted = running(PARTS, params)
    stage = stages(progress, model, of_parts(costs(model, params), wanted))
    result = Result(NAME)
    if "recall" in wanted:
        recall.measure(result, model, params, stage)
        progress.checkpoint(result)
    if "state_size" in wanted:
        state_size.measure(result, params, stage["organisms"])
        progress.checkpoint(result)
    if "outer_product" in wanted:
        error_laws.measure(result, params, stage["memories"])
        progress.checkpoint(result)
    if "memories" in wanted:
        from analyses.state.recall_capacity import memories

        memories.measure(result, model, params, stage["taken away"])
        progress.checkpoint(result)
    if "heads" in wanted:
        from analyses.state.recall_capacity import head_sets

        head_sets.measure(result, params, stage["sets"])
        progress.checkpoint(result)
    if "chains" in wanted:
        from analyses.state.recall_capacity import chain_order

        chain_order.measure(result, params, stage["chains"])
        progress.checkpoint(result)
    if "eidetic" in wanted:
        from analyses.state.recall_capacity import exact_pairs

        exact_pairs.measure(result, model, params, stage["kept"])
    if "tasks" in wanted:
        from analyses.state.recall_capacity import task_table

        task_table.measure(result)
    _small_models(result, params, wanted, stage)
    claims.add_claims(result)
    progress(1.0, "Done")
    return result


def _small_models(
    result: Result, params: Params, wanted: Collection[str], stage: Mapping[str, Progress]
) -> None:
    from analyses.state.recall_capacity import small_fits

    for part, measure in (
        ("recitation", small_fits.add_recitation),
        ("vocabulary", small_fits.add_vocabulary),
        ("sentences", small_fits.add_sentences),
    ):
        if part in wanted:
            measure(result, params, stage[part])
