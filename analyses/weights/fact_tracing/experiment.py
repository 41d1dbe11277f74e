"""The run: the parts that are asked for, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from analyses.weights.fact_tracing import (
    claims,
    enrichment,
    extraction,
    findings,
    further,
    knockout,
    part_findings,
    tracing,
)
from analyses.weights.fact_tracing.constants import NAME
from analyses.weights.fact_tracing.costs import stages as costs
from analyses.weights.fact_tracing.parts import PARTS
from analyses.weights.fact_tracing.traced_facts import choose
from workbench.cost import of_parts, stages, total
from workbench.parts import running
from workbench.result import Result
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from analyses.weights.fact_tracing.maps import Maps
    from analyses.weights.fact_tracing.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


@ordinary
@torch.no_grad()
def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Trace facts. The package's docstring has the steps.

    Raises:
        BadInput: a fact that the model does not know, or that cannot be traced.
    """
    parts = running(PARTS, params)
    left = _progress(model, params, parts, progress)
    result = Result(NAME)
    chosen = choose(model, params, left["facts"])
    facts = chosen.facts
    maps: dict[str, Maps] = {}
    findings.add_known(result, chosen, model.card.name)
    tracing.note(result, model, params, chosen)
    if "states" in parts:
        maps = tracing.trace_facts(result, model, params, chosen, parts, left["trace"])
        progress.checkpoint(result)
    tracing.add_facts(result, model, chosen, maps)
    if "knockout" in parts:
        change, layers = knockout.block(model, facts, params.window, params.seed, left["knockout"])
        result.tables["knockout"] = knockout.span_table(change, layers)
        part_findings.add_knockout(result, change, layers)
        progress.checkpoint(result)
    if "extraction" in parts:
        rows = extraction.events(model, facts, params.norm, left["extraction"])
        result.tables["events"] = extraction.event_table(rows)
        part_findings.add_events(result, rows, params.norm)
    if "heads" in parts:
        result.tables["heads"] = extraction.heads(model, facts, params.norm, left["heads"])
        part_findings.add_heads(result)
    if "enrichment" in parts:
        result.tables["enrichment"] = enrichment.rates(
            model, facts, params.norm, params.seed, left["enrichment"]
        )
        part_findings.add_enrichment(result)
    if "wordings" in parts:
        further.compare_maps(result, model, params, chosen, left["wordings"])
        progress.checkpoint(result)
    if "best-layer" in parts:
        further.compare_edits(result, model, params, chosen, maps, left["best-layer"])
    claims.add_claims(result)
    progress(1.0, "Done")
    return result


def _progress(
    model: InstrumentedModel, params: Params, parts: set[str], progress: Progress
) -> dict[str, Progress]:
    """By stage; all maps are made in one, "trace"."""
    planned = of_parts(costs(model, params), parts)
    merged = {"facts": planned.pop("facts")}
    if "states" in parts:
        merged["trace"] = total(planned.pop(part) for part in tracing.TRACED if part in planned)
    return stages(progress, model, merged | planned)
