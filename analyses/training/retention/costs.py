"""What the parts of a run cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.measures.exposure_access import access_along_cost
from analyses.measures.exposure_panel import panel_cost
from analyses.measures.scoring import reading
from analyses.training.retention.constants import FOILS
from analyses.training.retention.few_shot import ROW, measured_at, updates_in_all
from analyses.training.retention.parts import training_of
from workbench.cost import Cost

if TYPE_CHECKING:
    from analyses.training.retention.params import Params
    from hooks.model import InstrumentedModel

_PER_WEIGHT = 6e-9
"""Seconds AdamW takes for a weight on one core."""
_STATISTICS = 5.0
_OPENED = 1.2e-8  # seconds for a weight of a kept step: read, rebuilt, compared


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    live = {"few-shot": _few_shot(model, params)}
    found = training_of(model)
    if isinstance(found, str) or not found[1].entries:
        return live
    series, ledger = found
    read = [entry for entry in ledger.entries if entry.repeats]
    kinds = {entry.kind for entry in ledger.entries}
    twins = len(ledger.entries) - len(read)
    texts = len(read) + min(twins, params.twins * len(kinds))
    length, steps = len(ledger.entries[0].ids), len(series.steps)
    opened = Cost(seconds=_OPENED * model.card.n_params * steps)
    return {
        "recall": panel_cost(model, texts, length, steps) + opened + Cost(seconds=_STATISTICS),
        "profiles": Cost(seconds=_STATISTICS),
        "forecast": Cost(seconds=1.0),
        "access": access_along_cost(model, texts // 5, length, steps) + opened,
    } | live


def _few_shot(model: InstrumentedModel, params: Params) -> Cost:
    study, later = updates_in_all(params)
    points = measured_at(params)
    row = params.length + len(model.text.beginning)
    tokens = study * params.batch * row + later * ROW
    sets = (1 + len(FOILS)) * (params.exposures + 1) + 2 * points
    return (
        Cost(forward=tokens, passes=study + later, backward=2 * tokens)
        + reading(model, params.items, 0, params.length, whole=True) * sets
        + Cost(
            seconds=_PER_WEIGHT * model.card.n_params * (study + later),
            bytes=4.0 * 4 * model.card.n_params,
        )
    )
