"""What the parts of a run cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from analyses.measures.exposure_access import access_along_cost
from analyses.measures.exposure_panel import panel_cost
from analyses.measures.exposure_trainings import trainings_cost
from analyses.measures.scoring import reading
from analyses.training.retention.access_remedies import access_remedies_cost
from analyses.training.retention.constants import FOILS
from analyses.training.retention.dose_timing import dose_timing_cost
from analyses.training.retention.few_shot import ROW, measured_at, updates_in_all
from analyses.training.retention.parts import many_tokens, not_small, training_of
from analyses.training.retention.repeated_data import repeated_cost
from analyses.training.retention.training_choices import choices_cost
from analyses.training.retention.triples import triples_cost
from workbench.cost import Cost

if TYPE_CHECKING:
    from analyses.training.retention.params import Params
    from hooks.model import InstrumentedModel

_STATISTICS = 5.0
_OPENED = 1.2e-8  # seconds for a weight of a kept step: read, rebuilt, compared


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part."""
    live = {"few-shot": _few_shot(model, params)} | _trainings(model, params)
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


def _trainings(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """Parts that train a small model many times, of those that it can have."""
    own: dict[str, Callable[[InstrumentedModel, int], Cost]] = {
        "dose-timing": dose_timing_cost,
        "access-remedies": access_remedies_cost,
        "triples": triples_cost,
        "training-choices": choices_cost,
    }
    costs = {} if not_small(model) else {p: of(model, params.seeds) for p, of in own.items()}
    if many_tokens(model) is None:
        costs["repeated-data"] = repeated_cost(model, params.seeds)
    return costs


def _few_shot(model: InstrumentedModel, params: Params) -> Cost:
    study, later = updates_in_all(params)
    points = measured_at(params)
    row = params.length + len(model.text.beginning)
    tokens = study * params.batch * row + later * ROW
    sets = (1 + len(FOILS)) * (params.exposures + 1) + 2 * points
    return (
        trainings_cost(model, study + later, tokens, 0, 0)
        + reading(model, params.items, 0, params.length, whole=True) * sets
    )
