"""Where a place is in a model: on which module, its input or its output, and in which shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.weights import dense_weight

if TYPE_CHECKING:
    from torch import nn

    from hooks.layout import Block, Layout, NormLayer, Term
    from hooks.sites.names import Place


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
    if place.layer is None:
        make = _OF_MODEL.get(place.site.short)
        return make(layout) if make is not None else None
    block, short = layout.blocks[place.layer], place.site.short
    make_in_layer = _OF_LAYER.get(short)
    found = make_in_layer(block) if make_in_layer is not None else None
    if found is not None and id(found.module) in layout.flat:
        return replace(found, layer=block.module)
    return found


def _input(module: nn.Module | None, **more: Any) -> Tap | None:
    return None if module is None else Tap(module, on_input=True, **more)


def _output(module: nn.Module | None, **more: Any) -> Tap | None:
    return None if module is None else Tap(module, on_input=False, **more)


def _term(term: Term | None) -> Tap | None:
    return None if term is None else _output(term.module, scale=term.scale)


def _projection(block: Block, which: str) -> Tap | None:
    projection = block.projections.get(which)
    return None if projection is None else _output(projection.module, derive=projection.cut)


def _norm(norm: NormLayer | None) -> Tap | None:
    return None if norm is None else _output(norm.module)


def _norm_scale(norm: NormLayer | None) -> Tap | None:
    if norm is None or norm.centred is None:
        return None
    return _input(norm.module, derive=norm.scale)


def _router(block: Block, short: str) -> Tap | None:
    part = block.router_parts.get(short)
    return None if part is None else _output(block.router, part=part)


def _pattern(block: Block) -> Tap | None:
    """Of a family with its own attention code; else it is read off the attention call."""
    if block.pattern_part is None:
        return None
    return _output(block.attention, part=block.pattern_part)


def _result(block: Block) -> Tap | None:
    if block.out_proj is None:
        return None
    return _input(block.out_proj, derive=partial(head_results, block.out_proj, block.n_heads))


def _logits(layout: Layout) -> Tap | None:
    if layout.logit_scale != layout.logit_scale:  # not a number: how they come about is not known
        return None
    plain = layout.logit_scale == 1.0 and layout.logit_cap is None
    return _output(layout.unembed, derive=None if plain else layout.to_logits)


_OF_LAYER: dict[str, Callable[[Block], Tap | None]] = {
    "resid_pre": lambda b: _input(b.module) if b.start is None else _output(b.start),
    "ln1": lambda b: _norm(b.ln1),
    "ln1_scale": lambda b: _norm_scale(b.ln1),
    "q": lambda b: _projection(b, "q"),
    "k": lambda b: _projection(b, "k"),
    "pattern": _pattern,
    "z": lambda b: _input(b.out_proj, heads=b.n_heads),
    "result": _result,
    "attn_out": lambda b: _term(b.attn_out),
    "router_weights": lambda b: _output(b.memory_router),
    "mixer_out": lambda b: _term(b.mixer_out),
    "resid_mid": lambda b: _input(b.before_mlp),
    "ln2": lambda b: _norm(b.ln2),
    "ln2_scale": lambda b: _norm_scale(b.ln2),
    "pre": lambda b: _output(b.gate),
    "pre_linear": lambda b: _output(b.up) if b.up is not b.gate else None,
    "post": lambda b: _input(b.down_proj),
    "router_scores": lambda b: _router(b, "router_scores"),
    "expert_weights": lambda b: _router(b, "expert_weights"),
    "expert_indices": lambda b: _router(b, "expert_indices"),
    "mlp_out": lambda b: _term(b.mlp_out),
    "resid_post": lambda b: _output(b.module),
}
"""Where a site is in one layer, by its short name."""
_OF_MODEL: dict[str, Callable[[Layout], Tap | None]] = {
    "embed": lambda layout: _output(layout.embed),
    "pos_embed": lambda layout: _output(layout.pos_embed),
    "ln_final": lambda layout: _norm(layout.ln_final),
    "ln_final_scale": lambda layout: _norm_scale(layout.ln_final),
    "logits": _logits,
}
"""Where a site is that does not repeat from layer to layer."""


def head_results(
    out_proj: nn.Module, heads: int, z: Float[Tensor, "*rows width"]
) -> Float[Tensor, "*rows head d_model"]:
    """Each head's share of the output matrix's product, (..., heads × d_head) to (..., head,
    d_model); the bias is nobody's.
    """
    z = z.unflatten(-1, (heads, -1))
    weight = dense_weight(out_proj).T
    return torch.einsum("...he,hed->...hd", z, weight.reshape(heads, z.shape[-1], -1).to(z.dtype))
