"""The places in the forward pass, under the names TransformerLens gives them.

A site is a full name (`blocks.5.attn.hook_z`) or its short form (`z`) with a selection of layers.
To add one: a line in `SITES`, and in `_tap` where it is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from hooks.layout import STATE_DIMS
from workbench.errors import BadInput, SiteNotFound

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor, nn

    from hooks.layout import Layout, Norm, Term


@dataclass(frozen=True)
class Site:
    """A named place.

    `dims` are the axes of what is captured there, without the leading `prompt`.
    """

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
_SQUARE, _NEURONS = ("head", "query", "key"), ("pos", "d_mlp")
SITES: dict[str, Site] = {
    site.short: site
    for site in (
        Site("embed", "hook_embed", _STREAM, "token embeddings"),
        Site("pos_embed", "hook_pos_embed", _STREAM, "learned position embeddings"),
        Site(
            "resid_pre",
            "blocks.{layer}.hook_resid_pre",
            _STREAM,
            "residual stream before the layer",
        ),
        Site("ln1", "blocks.{layer}.ln1.hook_out", _STREAM, "what the norm before attention gives"),
        Site("ln1_scale", "blocks.{layer}.ln1.hook_scale", ("pos",), "what that norm divides by"),
        Site(
            "q",
            "blocks.{layer}.attn.hook_q",
            _HEADS,
            "queries as projected, before norm and rotary",
        ),
        Site(
            "k",
            "blocks.{layer}.attn.hook_k",
            _KV,
            "keys as projected, before norm and rotary, per key-value head",
        ),
        Site("v", "blocks.{layer}.attn.hook_v", _KV, "values, per key-value head"),
        Site(
            "rot_q",
            "blocks.{layer}.attn.hook_rot_q",
            _HEADS,
            "queries as attention uses them (after rotary)",
        ),
        Site(
            "rot_k",
            "blocks.{layer}.attn.hook_rot_k",
            _KV,
            "keys as attention uses them (after rotary), per key-value head",
        ),
        Site(
            "attn_scores",
            "blocks.{layer}.attn.hook_attn_scores",
            _SQUARE,
            "attention scores, masked, before the softmax",
        ),
        Site("pattern", "blocks.{layer}.attn.hook_pattern", _SQUARE, "attention probabilities"),
        Site(
            "z",
            "blocks.{layer}.attn.hook_z",
            _HEADS,
            "head outputs as the output matrix reads them",
        ),
        Site(
            "result",
            "blocks.{layer}.attn.hook_result",
            ("pos", "head", "d_model"),
            "what each head adds, through the output matrix",
        ),
        Site(
            "attn_out",
            "blocks.{layer}.hook_attn_out",
            _STREAM,
            "what attention adds to the residual stream",
        ),
        Site(
            "mixer_out",
            "blocks.{layer}.hook_mixer_out",
            _STREAM,
            "what a recurrent layer adds to the residual stream",
        ),
        Site(
            "state",
            "blocks.{layer}.hook_state",
            ("pos", *STATE_DIMS["state"]),
            "what a recurrent layer remembers after each token",
        ),
        Site(
            "conv_state",
            "blocks.{layer}.hook_conv_state",
            ("pos", *STATE_DIMS["conv_state"]),
            "the last inputs of its convolution",
        ),
        Site(
            "state_decay",
            "blocks.{layer}.hook_state_decay",
            ("pos", *STATE_DIMS["state_decay"]),
            "what a token multiplies it by",
        ),
        Site(
            "state_write",
            "blocks.{layer}.hook_state_write",
            ("pos", "state_head"),
            "norm of what a token adds to it",
        ),
        Site(
            "resid_mid",
            "blocks.{layer}.hook_resid_mid",
            _STREAM,
            "residual stream between attention and MLP",
        ),
        Site("ln2", "blocks.{layer}.ln2.hook_out", _STREAM, "what the norm before the MLP gives"),
        Site("ln2_scale", "blocks.{layer}.ln2.hook_scale", ("pos",), "what that norm divides by"),
        Site(
            "pre", "blocks.{layer}.mlp.hook_pre", _NEURONS, "neurons before the activation function"
        ),
        Site(
            "pre_linear",
            "blocks.{layer}.mlp.hook_pre_linear",
            _NEURONS,
            "the linear half of a gated MLP",
        ),
        Site(
            "post",
            "blocks.{layer}.mlp.hook_post",
            _NEURONS,
            "neuron activations, input of the MLP's last matrix",
        ),
        Site(
            "router_scores",
            "blocks.{layer}.mlp.hook_router_scores",
            ("pos", "expert"),
            "the router's logit for each expert",
        ),
        Site(
            "expert_weights",
            "blocks.{layer}.mlp.hook_expert_weights",
            ("pos", "slot"),
            "weights of the chosen experts",
        ),
        Site(
            "expert_indices",
            "blocks.{layer}.mlp.hook_expert_indices",
            ("pos", "slot"),
            "numbers of the chosen experts",
        ),
        Site(
            "mlp_out",
            "blocks.{layer}.hook_mlp_out",
            _STREAM,
            "what the MLP adds to the residual stream",
        ),
        Site(
            "resid_post",
            "blocks.{layer}.hook_resid_post",
            _STREAM,
            "residual stream after the layer",
        ),
        Site("ln_final", "ln_final.hook_out", _STREAM, "residual stream after the final norm"),
        Site("ln_final_scale", "ln_final.hook_scale", ("pos",), "what the final norm divides by"),
        Site("logits", "logits", ("pos", "d_vocab"), "next-token logits"),
    )
}
# Read off the attention call rather than off a module: see hooks/attention.py.
ATTENTION_SITES = frozenset({"rot_q", "rot_k", "v", "attn_scores", "pattern"})
# What a recurrent layer remembers from token to token: read off its cache step by step, see
# hooks/states.py.
STATE_SITES = frozenset({"state", "conv_state", "state_write", "state_decay"})
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
    """How to reach a site on a module: its input or one of its outputs, and the shape in which
    it is shown.
    """

    module: nn.Module
    on_input: bool
    heads: int | None = None  # split the last axis into this many heads
    scale: float = 1.0  # what the site shows is the module's value times this
    part: int = 0  # which of several outputs
    derive: Callable[[Tensor], Tensor] | None = (
        None  # computed from the module's value: can be looked at, not changed
    )
    layer: nn.Module | None = (
        None  # a layer, whose input tells (batch, pos) where a module sees all tokens in one row
    )

    @property
    def changeable(self) -> bool:
        return self.derive is None and self.part == 0

    def attach(self, change: Callable[[Tensor], Tensor | None]) -> Handle:
        """Call `change` with the site's tensor at every forward pass; a tensor it returns takes the
        site's place.

        Returns the handle that takes it off again.
        """
        shape: list[tuple[int, ...]] = []

        def seen(x: Tensor) -> Tensor | None:
            flat = (self.layer is not None and len(shape) > 0 and x.shape[0] != shape[0][0]) or (
                bool(shape) and x.dim() == 2
            )
            shown = x.unflatten(0, shape[0]) if flat else x
            if self.derive is not None:
                change(self.derive(shown))
                return None
            shown = shown.unflatten(-1, (self.heads, -1)) if self.heads else shown
            new = change(shown if self.scale == 1.0 else shown * self.scale)
            if new is None:
                return None
            new = new if self.scale == 1.0 else new / self.scale
            new = new.flatten(-2) if self.heads else new
            return new.flatten(0, 1) if flat else new

        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            name = None if args else next(n for n in ("hidden_states", "x", "input") if n in kwargs)
            new = seen(args[0] if name is None else kwargs[name])
            if new is None:
                return None
            return ((new, *args[1:]), kwargs) if name is None else (args, {**kwargs, name: new})

        def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            whole = isinstance(output, tuple | list)
            new = seen(output[self.part] if whole else output)
            if new is None:
                return None
            return _remade(output, [new, *output[1:]]) if whole else new

        def measure(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            shape[:] = [tuple((args[0] if args else kwargs["hidden_states"]).shape[:2])]

        handles = (
            [self.layer.register_forward_pre_hook(measure, with_kwargs=True)]
            if self.layer is not None
            else []
        )
        if self.on_input:
            return Handle(
                [*handles, self.module.register_forward_pre_hook(before, with_kwargs=True)]
            )
        return Handle([*handles, self.module.register_forward_hook(after)])


def _remade(output: Any, parts: list[Any]) -> Any:
    """An output of the same kind with other parts; one whose parts have names takes them one by
    one.
    """
    return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)


@dataclass(frozen=True)
class Handle:
    """Hooks that come off together."""

    hooks: list[Any]

    def remove(self) -> None:
        for hook in self.hooks:
            hook.remove()


def tap(layout: Layout, place: Place) -> Tap | None:
    """Where a place is in this model, or None if the model has no such place (or it lies in the
    attention call).
    """
    short = place.site.short
    if place.layer is None:
        return _once(layout, short)
    block = layout.blocks[place.layer]

    def at(module: nn.Module | None, on_input: bool = False, **more: Any) -> Tap | None:
        if module is None:
            return None
        return Tap(
            module, on_input, layer=block.module if id(module) in layout.flat else None, **more
        )

    if short in {"attn_out", "mixer_out", "mlp_out"}:
        term: Term | None = getattr(block, short)
        return at(term.module, scale=term.scale) if term is not None else None
    if short in {"q", "k"}:
        cut = block.projections.get(short)
        return at(cut.module, derive=cut.cut) if cut is not None else None
    if short in {"ln1", "ln2", "ln1_scale", "ln2_scale"}:
        norm: Norm | None = getattr(block, short[:3])
        if norm is None or not short.endswith("scale"):
            return at(norm.module if norm is not None else None)
        return (
            at(norm.module, on_input=True, derive=norm.scale) if norm.centred is not None else None
        )
    if (
        short == "pattern"
    ):  # of a family with its own attention code; else it is read off the attention call
        return (
            at(block.attention, part=block.pattern_part) if block.pattern_part is not None else None
        )
    if short in {"router_scores", "expert_weights", "expert_indices"}:
        part = block.router_parts.get(short)
        return at(block.router, part=part) if part is not None else None
    if short == "z":
        return at(block.out_proj, on_input=True, heads=block.n_heads)
    if short == "result":
        matrix = block.out_proj
        return at(matrix, True, derive=partial(head_results, matrix, block.n_heads))
    if short == "resid_pre" and block.start is not None:
        return at(block.start)
    found: dict[str, tuple[nn.Module | None, bool]] = {
        "resid_pre": (block.module, True),
        "resid_mid": (block.before_mlp, True),
        "pre": (block.gate, False),
        "pre_linear": (block.up if block.up is not block.gate else None, False),
        "post": (block.down_proj, True),
        "resid_post": (block.module, False),
    }
    return at(*found.get(short, (None, False)))


def _once(layout: Layout, short: str) -> Tap | None:
    """Sites that do not repeat from layer to layer."""
    norm = layout.ln_final
    if short == "ln_final":
        return Tap(norm.module, on_input=False) if norm is not None else None
    if short == "ln_final_scale":
        return (
            Tap(norm.module, on_input=True, derive=norm.scale)
            if norm is not None and norm.centred is not None
            else None
        )
    if short == "pos_embed":
        return Tap(layout.pos_embed, on_input=False) if layout.pos_embed is not None else None
    if short == "embed":
        return Tap(layout.embed, on_input=False)
    if (
        layout.logit_scale != layout.logit_scale
    ):  # not a number: how the logits come about could not be told
        return None
    plain = layout.logit_scale == 1.0 and layout.logit_cap is None
    return Tap(layout.unembed, on_input=False, derive=None if plain else layout.to_logits)


def head_results(out_proj: Any, heads: int, z: Tensor) -> Tensor:
    """Each head's share of the output matrix's product, (..., heads × d_head) to (..., head,
    d_model); the bias is nobody's.
    """
    import torch

    from hooks.weights import dense_weight

    z = z.unflatten(-1, (heads, -1))
    weight = dense_weight(out_proj).T
    return torch.einsum("...he,hed->...hd", z, weight.reshape(heads, z.shape[-1], -1).to(z.dtype))


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
    have = Sites(layout)
    n_layers = len(layout.blocks)
    chosen = (
        range(n_layers) if layers is None else [layers] if isinstance(layers, int) else list(layers)
    )
    for layer in chosen:
        if not -n_layers <= layer < n_layers:
            raise BadInput(
                f"{model_name} has no layer {layer}.",
                f"0 to {n_layers - 1}",
                "Choose a layer in that range.",
            )
    places: list[Place] = []
    for name in names:
        full = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
        site = SITES.get(name.removeprefix("hook_")) or _FULL.get(
            f"blocks.#.{full[2]}" if full else name
        )
        only = [int(full[1])] if full else [layer % n_layers for layer in chosen]
        offers = ", ".join(have)
        if site is None or site.short not in have:
            near = difflib.get_close_matches(name, [*SITES, *(s.name for s in SITES.values())], n=1)
            why = next(
                (
                    b.unavailable_reason[site.short]
                    for b in layout.blocks
                    if site is not None and site.short in b.unavailable_reason
                ),
                "",
            )
            near = near if site is None else _nearest(site.short, have)
            hint = f"Did you mean {near[0]!r}?" if near else "Choose one of those."
            raise SiteNotFound(
                f"{model_name} has no site {name!r}{f': {why}' if why else ''}.",
                f"one of {offers}",
                hint,
            )
        if not site.per_layer:
            places.append(Place(site, None))
            continue
        has = have[site.short] or []
        if (
            layers is None and not full
        ):  # all layers means all that have it: a hybrid's kinds alternate
            only = has
        missing = [layer for layer in only if layer not in has]
        if missing:
            at = [
                short for short, where in have.items() if where is not None and missing[0] in where
            ]
            why = (
                layout.blocks[missing[0]].unavailable_reason.get(site.short, "")
                if missing[0] < n_layers
                else ""
            )
            near = _nearest(site.short, at)
            raise SiteNotFound(
                f"{model_name} has no site"
                f" {Place(site, missing[0]).name!r}{f': {why}' if why else ''}.",
                (
                    f"at layer {missing[0]} one of {', '.join(at)}"
                    if at
                    else f"a layer from 0 to {n_layers - 1}"
                ),
                f"Did you mean {near[0]!r}?" if near else "Choose one of those.",
            )
        places += [Place(site, layer) for layer in only]
    return list(dict.fromkeys(places))


# What comes nearest to a site that a model does not have.
_INSTEAD = {
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
        near for near in _INSTEAD.get(short, ("resid_post",)) if near in have and near != short
    ][:1]
