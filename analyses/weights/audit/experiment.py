"""The run: the material is sorted, and each kind is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from analyses.weights.audit import documents_part, facts_part, findings, items_part, personal_part
from analyses.weights.audit.constants import DOCUMENTS, FACTS, ITEMS, KINDS, NAME, PERSONAL
from analyses.weights.audit.costs import stated
from analyses.weights.audit.material import AuditMaterial, material_of
from workbench.cost import stages
from workbench.errors import BadInput
from workbench.result import Result
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from analyses.weights.audit.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

Runner = Callable[["InstrumentedModel", "Params", AuditMaterial, "Progress", Result], None]
_RUN: dict[str, Runner] = {
    DOCUMENTS: documents_part.run,
    PERSONAL: personal_part.run,
    FACTS: facts_part.run,
    ITEMS: items_part.run,
}


@ordinary
def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Ask each kind of material that is there; what is done is kept when a later one is stopped.

    Raises:
        BadInput: nothing is given, nothing of it can be asked, or no passage fits into the model.
    """
    limit = model.positions
    if limit and params.context + params.suffix + 1 > limit:
        raise BadInput(
            f"{params.context} tokens of context and {params.suffix} of a passage do not fit into"
            f" {model.card.name}.",
            f"at most {limit - 1:,} tokens together",
            "Choose fewer of one of the two.",
        )
    progress(0.0, "Sorting what is given")
    material = material_of(model, params)
    there = {
        DOCUMENTS: material.has_documents,
        PERSONAL: material.has_documents and bool(params.fields),
        FACTS: bool(material.facts),
        ITEMS: bool(material.items),
    }
    result = Result(NAME)
    result.provenance.notes = {
        "material": material.says,
        "passages": f"{params.context} + {params.suffix} tokens",
        "beginning token": model.beginning.says,
    }
    asked = [kind for kind in KINDS if there[kind] and kind in params.parts]
    if not asked:
        raise BadInput(
            f"Of what is given ({material.says}) nothing is asked.",
            "parts for the kinds of material that there are",
            "Leave parts as it is.",
        )
    costs = stated(model, params, material)
    part = stages(progress, model, {kind: costs[kind] for kind in asked})
    for kind in asked:
        _RUN[kind](model, params, material, part[kind], result)
        if result.tables.keys() & set(KINDS):
            findings.add_findings(result, material)
            progress.checkpoint(result)
    if not result.tables.keys() & set(KINDS):
        if material.left_out:
            raise material.nothing_to_ask()
        raise BadInput(
            "No value of these fields was found.",
            "documents that hold some",
            "Give other documents, or change the patterns of the fields.",
        )
    progress(1.0, "Done")
    return result
