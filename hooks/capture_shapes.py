"""How large the arrays of a capture are: the sizes of each site's axes, asked of the model once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from hooks.capture_batch import run
from hooks.capture_plan import SitePlan
from hooks.without_interventions import undisturbed
from workbench.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel
    from hooks.reduce import BatchLayout
    from hooks.sites import Place
    from workbench.trace_files.array_spec import ArraySpec

_SIZES: WeakKeyDictionary[InstrumentedModel, dict[Place, dict[str, int]]] = WeakKeyDictionary()
"""Per model and place, the sizes of the axes that do not depend on the prompt."""


def arrays(model: InstrumentedModel, plans: Sequence[SitePlan], dtype: str) -> dict[str, ArraySpec]:
    """The arrays that a capture gives, by name.

    Runs the model on one token where a site was never seen before.
    """
    known = _SIZES.setdefault(model, {})
    new = [
        SitePlan(plan.site, places, None, None)
        for plan in plans
        if (places := tuple(p for p in plan.places if p not in known))
    ]
    if new:
        measured: dict[Place, dict[str, int]] = {}

        def write(
            plan: SitePlan,
            at: int,
            sizes: dict[str, int],
            values: list[Tensor],
            rows: BatchLayout,
        ) -> None:
            measured[plan.places[at]] = sizes

        with undisturbed(model.module):
            run(model, new, [[0]], write)
        known.update(measured)
    for plan in plans:
        for place in plan.places:
            check_same_sizes(plan, known[plan.places[0]], place, known[place])
    return {array.name: array for p in plans for array in p.stored(known[p.places[0]], dtype)}


def check_same_sizes(
    plan: SitePlan, sizes: Mapping[str, int], place: Place, others: Mapping[str, int]
) -> None:
    """Raises BadInput if a layer has other sizes than the first, so that they do not go into one
    array.
    """
    if others != sizes:
        raise BadInput(
            f"{plan.places[0].name!r} is {dict(sizes)}, {place.name!r} is {dict(others)}.",
            "layers of one shape",
            "Capture them one after the other, with `layers`.",
        )
