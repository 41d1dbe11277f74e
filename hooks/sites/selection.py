"""Which places a model has, and which ones a user means."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hooks.sites.names import ATTENTION_SITES, SITES, STATE_SITES, Place
from hooks.sites.taps import tap
from workbench.errors import BadInput, SiteNotFound

if TYPE_CHECKING:
    import pandas as pd

    from hooks.layout import Layout
    from hooks.sites.names import Site

_BY_FULL_NAME = {site.name.replace("{layer}", "#"): site for site in SITES.values()}


class Sites(dict[str, "list[int] | None"]):
    """What a model has: short site name -> the layers that have it (None for sites that do not
    repeat).

    Called, it is a table for people: a row per site with its full name, layers, axes, shape and
        meaning.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        super().__init__(_layers(layout))

    def __call__(self) -> pd.DataFrame:
        """Columns site, name (TransformerLens's), layers, dims, shape (a word where the prompt
        decides), says.
        """
        import pandas as pd

        sizes = self._layout.sizes
        rows = [
            {
                "site": short,
                "name": SITES[short].name,
                "layers": "" if layers is None else _ranges(layers),
                "dims": " × ".join(SITES[short].dims),
                "shape": " × ".join(str(sizes.get(dim, dim)) for dim in SITES[short].dims),
                "says": SITES[short].says,
            }
            for short, layers in self.items()
        ]
        return pd.DataFrame(rows).set_index("site")


def _ranges(layers: Sequence[int]) -> str:
    """[0, 1, 2, 5] -> "0-2, 5"."""
    parts: list[list[int]] = []
    for layer in layers:
        if parts and layer == parts[-1][-1] + 1:
            parts[-1].append(layer)
        else:
            parts.append([layer])
    return ", ".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)


def _layers(layout: Layout) -> dict[str, list[int] | None]:
    have: dict[str, list[int] | None] = {}
    for short, site in SITES.items():
        if not site.per_layer:
            if tap(layout, Place(site, None)) is not None:
                have[short] = None
            continue
        layers = [layer for layer in range(len(layout.blocks)) if has(layout, Place(site, layer))]
        if layers:
            have[short] = layers
    return have


def has(layout: Layout, place: Place) -> bool:
    """Whether the model has this place."""
    if place.site.short in STATE_SITES and place.layer is not None:
        return place.site.short in layout.blocks[place.layer].states
    return in_attention(layout, place) or tap(layout, place) is not None


def can_change(layout: Layout, place: Place) -> bool:
    """Whether values can be put there, or only looked at."""
    found = tap(layout, place)
    return in_attention(layout, place) or (found is not None and found.changeable)


def in_attention(layout: Layout, place: Place) -> bool:
    """Whether the place is read off the attention call."""
    return (
        place.layer is not None
        and place.site.short in ATTENTION_SITES
        and layout.blocks[place.layer].attention_call is not None
    )


def resolve(
    layout: Layout, sites: str | Iterable[str], layers: int | Sequence[int] | None, model_name: str
) -> list[Place]:
    """Places named by short or full names and a selection of layers.

    None is every layer that has the site.

    Raises:
        SiteNotFound: an unknown name, or a place this model does not have; names what it has.
        BadInput: a layer out of range.
    """
    names = [sites] if isinstance(sites, str) else list(sites)
    chosen = None if layers is None else _in_range(layers, layout.n_layers, model_name)
    have = Sites(layout)
    places = [place for name in names for place in _places(layout, have, name, chosen, model_name)]
    return list(dict.fromkeys(places))


def _in_range(layers: int | Sequence[int], n_layers: int, model_name: str) -> list[int]:
    """Layers counted from 0; negative ones count from the end."""
    chosen = [layers] if isinstance(layers, int) else list(layers)
    for layer in chosen:
        if not -n_layers <= layer < n_layers:
            raise BadInput(
                f"{model_name} has no layer {layer}.",
                f"0 to {n_layers - 1}",
                "Choose a layer in that range.",
            )
    return [layer % n_layers for layer in chosen]


def _places(
    layout: Layout, have: Sites, name: str, layers: Sequence[int] | None, model_name: str
) -> list[Place]:
    """The places of one name."""
    full = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
    site = SITES.get(name.removeprefix("hook_")) or _BY_FULL_NAME.get(
        f"blocks.#.{full[2]}" if full else name
    )
    if site is None or site.short not in have:
        raise _no_site(layout, have, name, site, model_name)
    if not site.per_layer:
        return [Place(site, None)]
    if full:
        layers = [int(full[1])]
    with_site = have[site.short] or []
    if layers is None:  # all that have it: the kinds of layers alternate in a hybrid
        layers = with_site
    missing = next((layer for layer in layers if layer not in with_site), None)
    if missing is not None:
        raise _not_in_layer(layout, have, Place(site, missing), model_name)
    return [Place(site, layer) for layer in layers]


def _no_site(
    layout: Layout, have: Sites, name: str, site: Site | None, model_name: str
) -> SiteNotFound:
    """The error for a name that is no site, or a site that no layer has."""
    reason = ""
    if site is None:
        every = [*SITES, *(s.name for s in SITES.values())]
        near = difflib.get_close_matches(name, every, n=1)
    else:
        near = _nearest(site.short, have)
        reasons = (b.unavailable_reason.get(site.short) for b in layout.blocks)
        reason = next((r for r in reasons if r is not None), "")
    return SiteNotFound(
        f"{model_name} has no site {name!r}{f': {reason}' if reason else ''}.",
        f"one of {', '.join(have)}",
        _hint(near),
    )


def _not_in_layer(layout: Layout, have: Sites, place: Place, model_name: str) -> SiteNotFound:
    """The error for a site that other layers have; the layer may be one the model has not."""
    layer, n_layers = place.layer, layout.n_layers
    assert layer is not None
    offers = [short for short, layers in have.items() if layers is not None and layer in layers]
    reason = ""
    if layer < n_layers:
        reason = layout.blocks[layer].unavailable_reason.get(place.site.short, "")
    return SiteNotFound(
        f"{model_name} has no site {place.name!r}{f': {reason}' if reason else ''}.",
        (
            f"at layer {layer} one of {', '.join(offers)}"
            if offers
            else f"a layer from 0 to {n_layers - 1}"
        ),
        _hint(_nearest(place.site.short, offers)),
    )


def _hint(near: Sequence[str]) -> str:
    return f"Did you mean {near[0]!r}?" if near else "Choose one of those."


# What comes nearest to a site that a model does not have.
_ALTERNATIVES = {
    **dict.fromkeys(("q", "rot_q"), ("rot_q", "q", "attn_out")),
    **dict.fromkeys(("k", "rot_k"), ("rot_k", "k", "attn_out")),
    **dict.fromkeys(("attn_scores", "pattern"), ("pattern", "attn_scores", "z", "mixer_out")),
    **dict.fromkeys(("z", "result", "attn_out", "v"), ("attn_out", "mixer_out", "resid_post")),
    **dict.fromkeys(("pre", "pre_linear", "post"), ("post", "router_scores", "mlp_out")),
    **dict.fromkeys(("router_scores", "expert_weights", "expert_indices"), ("post", "mlp_out")),
    "resid_mid": ("resid_pre", "resid_post"),
    "mixer_out": ("attn_out", "resid_post"),
}


def _nearest(short: str, have: Iterable[str]) -> list[str]:
    return [
        near for near in _ALTERNATIVES.get(short, ("resid_post",)) if near in have and near != short
    ][:1]
