"""ROME: one fact, one matrix, rank one (Meng et al. 2022), and two repairs (Gupta et al. 2024).

u = C⁻¹k, W' = W + δ uᵀ / (k·u), where δ is what the value is to gain. The released code takes u
from the mean key k̄ over prefixes and divides by the bare prompt's k·u: where that happens to be
small, the change is huge (a disabling edit). *r-ROME* uses k̄ in both places, *p-ROME* k in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from hooks.editing.down_projections import default_layer, down_projection, read_at_subject
from hooks.editing.edit import EditLog, WeightEdit, factored, fingerprint
from hooks.editing.norms import norm_note
from hooks.editing.prefixes import rome_prefixes
from hooks.editing.requests import (
    EditRequest,
    answer_tokens,
    essence_row,
    row,
    subject_row,
)
from hooks.editing.statistics import KeyStatistics, key_statistics, moment_of
from hooks.editing.values import ValueRows, ValueSettings, find_values
from workbench.errors import BadInput
from workbench.progress import Progress
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

Variant = Literal["r-rome", "original", "p-rome"]
_NAMES = {"r-rome": "r-ROME", "original": "original", "p-rome": "p-ROME"}


@ordinary
def rome(
    model: InstrumentedModel,
    request: EditRequest,
    layer: int | None = None,
    *,
    statistics: Mapping[int, KeyStatistics] | None = None,
    variant: Variant = "r-rome",
    settings: ValueSettings | None = None,
    progress: Progress | None = None,
) -> WeightEdit:
    """Change one fact in one down projection. The model itself stays as it is until the edit is
    `applied`.

    Args:
        layer: None is a fifth of the way up.
        statistics: of its keys (`key_statistics`); None reads them first, which takes minutes.
        variant: "r-rome", "original" or "p-rome"; see the module's docstring.
        settings: of the search for the value.

    Returns:
        An edit of rank 1. With "r-rome" and "p-rome", what is looked up (`keys`) gives exactly
        what is wanted (`values`); with "original" that holds for the bare prompt's key.

    Raises:
        BadInput: an answer without tokens, no such layer or variant, quantized weights, a moment
            that is singular or of other keys.
        Unfit: a layer without down projection, or a mixture of experts.
    """
    if variant not in _NAMES:
        raise BadInput(
            f"There is no variant {variant!r} of ROME.", ", ".join(_NAMES), "Choose one of those."
        )
    progress, settings = progress or Progress(), settings or ValueSettings()
    answer_tokens(model, request)
    notes = []
    if layer is None:
        layer = default_layer(model)
        notes.append(f"Layer {layer} of {model.n_layers} was chosen: about a fifth of the way up.")
    projection = down_projection(model, layer)
    notes += norm_note(model, layer)
    statistics = statistics or key_statistics(model, layer, progress=progress.subprogress(0, 0.5))
    moment = moment_of(statistics, projection, model, notes)
    prefixes = settings.prefixes or rome_prefixes(model, seed=settings.seed)
    seen = read_at_subject(model, [projection], [subject_row(model, request, p) for p in prefixes])
    bare = prefixes.index("")
    keys, outputs = seen.keys[layer], seen.values[layer]
    wanted = ValueRows(
        [row(model, request, p) for p in prefixes], essence_row(model, request), outputs[bare]
    )
    found, logs = find_values(
        model, [wanted], layer, "mlp", settings, progress.subprogress(0.5, 1.0)
    )
    mean = keys.mean(0)
    looked_up = mean if variant == "r-rome" else keys[bare]
    direction = moment.solve(keys[bare] if variant == "p-rome" else mean)
    along = float(looked_up.cpu().double() @ direction)
    ratio = float(keys[bare].cpu().double() @ direction) / float(mean.cpu().double() @ direction)
    step = found[0].cpu().double() / along
    delta = factored(
        fingerprint(model, f"ROME ({_NAMES[variant]}), layer {layer}: {request.statement}"),
        [(projection, step[None], direction[None])],
    )
    value = projection.weight().float() @ looked_up + found[0]
    return WeightEdit(
        f"ROME ({_NAMES[variant]})",
        (request,),
        (layer,),
        delta,
        model.card.weight_hash,
        EditLog(tuple(logs), key_ratio=ratio, notes=tuple(notes)),
        {layer: looked_up[None]},
        {layer: value[None]},
    )
