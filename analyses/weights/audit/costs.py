"""What the parts of an audit cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.weights.audit import documents_part, facts_part, items_part, personal_part
from analyses.weights.audit.constants import DOCUMENTS, FACTS, ITEMS, PERSONAL
from analyses.weights.audit.material import recent_material
from workbench.cost import Cost
from workbench.errors import BadInput

if TYPE_CHECKING:
    from analyses.weights.audit.material import AuditMaterial
    from analyses.weights.audit.params import Params
    from hooks.model import InstrumentedModel


def cost(model: InstrumentedModel, params: Params) -> dict[str, Cost]:
    """By part, of what is given; nothing where nothing is."""
    try:
        material = recent_material(model, params)
    except BadInput:
        return {kind: Cost() for kind in (DOCUMENTS, PERSONAL, FACTS, ITEMS)}
    return stated(model, params, material)


def stated(model: InstrumentedModel, params: Params, material: AuditMaterial) -> dict[str, Cost]:
    """By part, for material that was sorted."""
    return {
        DOCUMENTS: documents_part.cost(model, params, material),
        PERSONAL: personal_part.cost(model, params, material.size),
        FACTS: facts_part.cost(model, params, len(material.facts)),
        ITEMS: items_part.cost(model, params, len(material.items)),
    }
