"""What an intervention changes: places, and the heads chosen there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from hooks import sites
from workbench.errors import BadInput
from workbench.heads import head_name

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

Heads = Sequence[tuple[int, int]]
Target = tuple[sites.Place, list[int]]
"""A place and the heads chosen there; [] is the whole site."""


def find_targets(
    model: InstrumentedModel,
    heads: Heads | None,
    site: str | None,
    layers: int | Sequence[int] | None,
) -> list[Target]:
    """The places to change, from heads (of `z`, if no site is named) or from a site and layers.

    Raises:
        BadInput: nothing was chosen, heads that the model does not have, or a site that cannot be
            changed, or not by head.
    """
    if heads is None and site is None:
        raise BadInput(
            "Nothing was chosen to change.",
            "heads=[(layer, head), …] or site='resid_post'",
            "Say what.",
        )
    if heads is None:
        places = sites.resolve(model.layout, site or "z", layers, model.card.name)
        _check_places(model, places, by_head=False)
        return [(place, []) for place in places]
    if layers is not None:
        raise BadInput(
            "Both heads and layers were given.", "heads=…, or site=… with layers=…", "Drop one."
        )
    by_layer = _by_layer(model, heads)
    if not by_layer:
        return []
    places = sites.resolve(model.layout, site or "z", sorted(by_layer), model.card.name)
    _check_places(model, places, by_head=True)
    return [(place, sorted(by_layer[cast("int", place.layer)])) for place in places]


def _by_layer(model: InstrumentedModel, heads: Heads) -> dict[int, set[int]]:
    by_layer: dict[int, set[int]] = {}
    for layer, head in heads:
        if not (0 <= layer < model.n_layers and 0 <= head < model.n_heads):
            raise BadInput(
                f"{model.card.name} has no head {head_name(layer, head)}.",
                f"L0H0 to {head_name(model.n_layers - 1, model.n_heads - 1)}",
                "Choose a head in that range.",
            )
        by_layer.setdefault(layer, set()).add(head)
    return by_layer


def _check_places(
    model: InstrumentedModel, places: Sequence[sites.Place], *, by_head: bool
) -> None:
    for place in places:
        if place.site.short in sites.STATE_SITES:
            raise BadInput(
                f"{place.name} is changed in another way than activations.",
                "wb.change_state, with wb.PatchState, wb.WipeState, …",
                "See docs/how-to/recurrent-states.md.",
            )
        if not sites.can_change(model.layout, place):
            near = {"q": "rot_q", "k": "rot_k"}.get(place.site.short, "z")
            raise BadInput(
                f"{place.name} can be captured but not changed.",
                f"{near}, or a residual or MLP site",
                f"Change {near} instead.",
            )
        if by_head and "head" not in place.site.dims:
            has = (
                "no heads"
                if "kv_head" not in place.site.dims
                else "key-value heads, which query heads share"
            )
            raise BadInput(
                f"{place.site.short} has {has}.",
                "z, rot_q, pattern or attn_scores",
                "Give layers=, not heads=.",
            )


def is_square(place: sites.Place) -> bool:
    """Whether a place holds a row over keys for each query."""
    return "query" in place.site.dims


def check_per_token(targets: Sequence[Target]) -> None:
    """Raises BadInput if what is changed is not one value per token."""
    for place, _ in targets:
        if is_square(place):
            raise BadInput(
                f"{place.site.short} has a number for every token before, so what belongs to other"
                " prompts does not fit.",
                "zero ablation, scale, or patch",
                "Use one of those, or change z, q, k or v.",
            )
