"""The places in the forward pass, under the names TransformerLens gives them.

A site is a full name (`blocks.5.attn.hook_z`) or its short form (`z`) with a selection of layers. To add one: a line
in `SITES`, and in `_tap` where it is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput, SiteNotFound

if TYPE_CHECKING:
    import torch
    from torch import nn

    from hooks.layout import Layout


@dataclass(frozen=True)
class Site:
    """A named place. `dims` are the axes of what is captured there, without the leading `prompt`."""

    short: str
    name: str  # with {layer} where it repeats
    dims: tuple[str, ...]
    says: str

    @property
    def per_layer(self) -> bool:
        return "{layer}" in self.name

    @property
    def per_head(self) -> bool:
        return "head" in self.dims or "kv_head" in self.dims


_STREAM, _HEADS, _KV = ("pos", "d_model"), ("pos", "head", "d_head"), ("pos", "kv_head", "d_head")
SITES: dict[str, Site] = {
    site.short: site
    for site in (
        Site("embed", "hook_embed", _STREAM, "token embeddings"),
        Site("resid_pre", "blocks.{layer}.hook_resid_pre", _STREAM, "residual stream before the layer"),
        Site("rot_q", "blocks.{layer}.attn.hook_rot_q", _HEADS, "queries as attention uses them (after rotary)"),
        Site("rot_k", "blocks.{layer}.attn.hook_rot_k", _KV, "keys as attention uses them (after rotary), per key-value head"),
        Site("v", "blocks.{layer}.attn.hook_v", _KV, "values, per key-value head"),
        Site("pattern", "blocks.{layer}.attn.hook_pattern", ("head", "query", "key"), "attention probabilities"),
        Site("z", "blocks.{layer}.attn.hook_z", _HEADS, "head outputs before the output projection"),
        Site("attn_out", "blocks.{layer}.hook_attn_out", _STREAM, "what attention adds to the residual stream"),
        Site("resid_mid", "blocks.{layer}.hook_resid_mid", _STREAM, "residual stream between attention and MLP"),
        Site("post", "blocks.{layer}.mlp.hook_post", ("pos", "d_mlp"), "neuron activations, input of the MLP's last matrix"),
        Site("mlp_out", "blocks.{layer}.hook_mlp_out", _STREAM, "what the MLP adds to the residual stream"),
        Site("resid_post", "blocks.{layer}.hook_resid_post", _STREAM, "residual stream after the layer"),
        Site("ln_final", "ln_final.hook_normalized", _STREAM, "residual stream after the final norm"),
        Site("logits", "logits", ("pos", "d_vocab"), "next-token logits"),
    )
}
# Read off the attention call rather than off a module: see hooks/attention.py.
ATTENTION_SITES = frozenset({"rot_q", "rot_k", "v", "pattern"})
_FULL = {site.name.replace("{layer}", "#"): site for site in SITES.values()}


@dataclass(frozen=True)
class Place:
    """A site in one layer (None where the site does not repeat)."""

    site: Site
    layer: int | None

    @property
    def name(self) -> str:
        return self.site.name.format(layer=self.layer)


@dataclass(frozen=True)
class Tap:
    """How to reach a site on a module: its input or its output, and the shape in which it is shown."""

    module: nn.Module
    on_input: bool
    heads: int | None = None  # split the last axis into this many heads

    def attach(self, change: Callable[[torch.Tensor], torch.Tensor | None]) -> Any:
        """Call `change` with the site's tensor at every forward pass; a tensor it returns takes the site's place.

        Returns the hook's handle; the caller removes it.
        """

        def split(x: torch.Tensor) -> torch.Tensor:
            return x.unflatten(-1, (self.heads, -1)) if self.heads else x

        def join(x: torch.Tensor) -> torch.Tensor:
            return x.flatten(-2) if self.heads else x

        if self.on_input:

            def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
                if args:
                    new = change(split(args[0]))
                    return None if new is None else ((join(new), *args[1:]), kwargs)
                new = change(split(kwargs["hidden_states"]))
                return None if new is None else (args, {**kwargs, "hidden_states": join(new)})

            return self.module.register_forward_pre_hook(before, with_kwargs=True)

        def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            whole = isinstance(output, tuple)
            new = change(split(output[0] if whole else output))
            if new is None:
                return None
            return (join(new), *output[1:]) if whole else join(new)

        return self.module.register_forward_hook(after)


def tap(layout: Layout, place: Place) -> Tap | None:
    """Where a place is in this model, or None if the model has no such place."""
    site, short = place.site, place.site.short
    if not site.per_layer:
        on = {"embed": layout.embed, "ln_final": layout.final_norm, "logits": layout.unembed}[short]
        return Tap(on, on_input=False)
    assert place.layer is not None
    block = layout.blocks[place.layer]
    found: dict[str, tuple[nn.Module | None, bool]] = {
        "resid_pre": (block.module, True),
        "z": (block.out_proj, True),
        "attn_out": (block.after_attention or block.attention, False),
        "resid_mid": (block.before_mlp, True),
        "post": (block.down_proj, True),
        "mlp_out": (block.after_mlp or block.mlp, False),
        "resid_post": (block.module, False),
    }
    module, on_input = found.get(short, (None, False))
    if module is None:
        return None
    return Tap(module, on_input, heads=layout.n_heads if short == "z" else None)


def available(layout: Layout) -> dict[str, list[int] | None]:
    """Short site name -> the layers that have it (None for sites that do not repeat)."""
    have: dict[str, list[int] | None] = {}
    for short, site in SITES.items():
        if not site.per_layer:
            have[short] = None
            continue
        layers = [
            layer
            for layer, block in enumerate(layout.blocks)
            if (block.attention is not None if short in ATTENTION_SITES else tap(layout, Place(site, layer)) is not None)
        ]
        if layers:
            have[short] = layers
    return have


def resolve(layout: Layout, sites: str | Iterable[str], layers: int | Sequence[int] | None, model_name: str) -> list[Place]:
    """Places named by short or full names and a selection of layers.

    Raises:
        SiteNotFound: an unknown name, or a place this model does not have; names what it has.
        BadInput: a layer out of range.
    """
    names = [sites] if isinstance(sites, str) else list(sites)
    have = available(layout)
    n_layers = len(layout.blocks)
    chosen = range(n_layers) if layers is None else [layers] if isinstance(layers, int) else list(layers)
    for layer in chosen:
        if not -n_layers <= layer < n_layers:
            raise BadInput(f"{model_name} has no layer {layer}.", f"0 to {n_layers - 1}", "Choose a layer in that range.")
    places: list[Place] = []
    for name in names:
        full = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
        site = SITES.get(name.removeprefix("hook_")) or _FULL.get(f"blocks.#.{full[2]}" if full else name)
        only = [int(full[1])] if full else [layer % n_layers for layer in chosen]
        offers = ", ".join(have)
        if site is None or site.short not in have:
            near = difflib.get_close_matches(name, [*SITES, *(s.name for s in SITES.values())], n=1)
            hint = f"Did you mean {near[0]!r}?" if near and site is None else "Choose one of those."
            raise SiteNotFound(f"{model_name} has no site {name!r}.", f"one of {offers}", hint)
        if not site.per_layer:
            places.append(Place(site, None))
            continue
        has = have[site.short] or []
        missing = [layer for layer in only if layer not in has]
        if missing:
            at = [short for short, where in have.items() if where is not None and missing[0] in where]
            raise SiteNotFound(
                f"{model_name} has no site {Place(site, missing[0]).name!r}.",
                f"at layer {missing[0]} one of {', '.join(at)}" if at else f"a layer from 0 to {n_layers - 1}",
                "Choose one of those.",
            )
        places += [Place(site, layer) for layer in only]
    return list(dict.fromkeys(places))
