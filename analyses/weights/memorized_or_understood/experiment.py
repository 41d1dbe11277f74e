"""The run: the parts that are asked for, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from analyses.weights.memorized_or_understood import (
    answer,
    attestation_part,
    claims,
    components_part,
    items_part,
    kinds_part,
    path_part,
    popularity_part,
    probes_part,
    puzzles_part,
    recited_part,
    structure_part,
    tables_part,
    traps_part,
)
from analyses.weights.memorized_or_understood.constants import NAME
from analyses.weights.memorized_or_understood.parts import PARTS
from workbench.cost import stages
from workbench.errors import WorkbenchError
from workbench.parts import running
from workbench.result import Result
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from analyses.weights.memorized_or_understood.params import Params
    from hooks.model import InstrumentedModel
    from workbench.cost import Cost
    from workbench.progress import Progress


class PartModule(Protocol):
    """What the module of a part has."""

    def cost(self, model: InstrumentedModel, params: Params) -> Cost:
        """What it takes; asked for often, so it reads no weights."""

    def run(
        self, model: InstrumentedModel, params: Params, progress: Progress, result: Result
    ) -> None:
        """Add its tables and findings."""


MODULES: dict[str, PartModule] = {
    "items": items_part,
    "structure": structure_part,
    "components": components_part,
    "puzzles": puzzles_part,
    "path": path_part,
    "probes": probes_part,
    "attestation": attestation_part,
    "tables": tables_part,
    "kinds": kinds_part,
    "popularity": popularity_part,
    "traps": traps_part,
    "recited": recited_part,
}
"""The module of each part, by its name in `PARTS`."""


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part, for those that the model can have.

    A file that only another part reads may be damaged: a part that is not asked for and cannot say
    what it takes is left out.

    Raises:
        BadInput, Unfit: what a part that is asked for cannot be asked with.
    """
    asked, found = running(PARTS, params), {}
    for part in PARTS:
        if part.unavailable_reason(model) is not None:
            continue
        try:
            found[part.name] = MODULES[part.name].cost(model, params)
        except WorkbenchError:
            if part.name in asked:
                raise
    return found


@ordinary
def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """The parts in their order; what is done is kept when a later one is stopped.

    Raises:
        BadInput, Unfit: what a part cannot be asked with; each says what to do.
    """
    parts = running(PARTS, params)
    stated = {
        part.name: MODULES[part.name].cost(model, params)
        for part in PARTS
        if part.name in parts and part.unavailable_reason(model) is None
    }
    left = stages(progress, model, stated)
    result = Result(NAME)
    for part in PARTS:
        if part.name in parts:
            MODULES[part.name].run(model, params, left.get(part.name, progress), result)
            answer.add(result, model.card.name)
            progress.checkpoint(result)
    if claims.JUDGED & result.tables.keys():
        claims.add_claims(result)
    return result
