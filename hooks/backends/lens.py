"""The TransformerLens back end: `TransformerBridge` around the module's own weights, looked at through its hook points.

The bridge runs `transformers`' layers, but computes attention itself (eager) and names what passes. Weights are neither
folded nor centred. Where a family keeps queries, keys and values in one interleaved matrix (GPT-NeoX), the bridge has to
rearrange that matrix into three of its own; everything else is the loaded module's storage.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from hooks.backends import changes
from hooks.backends.twin import kept, twin
from hooks.sites import SITES, Place
from workbench.errors import SiteNotFound, Unfit, WorkbenchError

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.backends import Look
    from hooks.model import Batch, InstrumentedModel

NAME = "transformer_lens"
_NAMES = {"logits": "unembed.hook_out"}  # sites that the bridge has under another name than `hooks.sites`
# Where positions are learned embeddings nothing is rotated, and queries are used as they are projected.
_UNROTATED = {"rot_q": "blocks.{layer}.attn.hook_q", "rot_k": "blocks.{layer}.attn.hook_k"}


def bridge_of(model: InstrumentedModel) -> Any:
    """A `TransformerBridge` on the model's own weights, with no hooks on it. Nothing is downloaded or copied.

    Raises:
        WorkbenchError: transformer-lens is not installed.
        Unfit: it does not know this architecture.
        BadInput: the model is spread over several devices.
    """
    try:
        from transformer_lens.model_bridge.sources import build_bridge_from_module, detect_tokenizer_bos_eos
    except ImportError as error:
        raise WorkbenchError(
            "The back end 'transformer_lens' needs the package transformer-lens.",
            "pip install 'memory-workbench[bench]'",
            "Install it, or use the back end 'torch'.",
        ) from error
    module = twin(model, NAME)
    config = copy.deepcopy(model.module.config)  # the bridge keeps settings of its own in it
    try:
        bridge = build_bridge_from_module(module, type(module).__name__, hf_config=config, model_name=model.card.name)
    except ValueError as error:
        raise Unfit(
            f"TransformerLens has no bridge for {type(module).__name__}: {error}",
            "an architecture that it supports",
            "Use the back end 'torch'.",
        ) from error
    bridge.tokenizer = copy.copy(model.tokenizer)
    bridge.cfg.tokenizer_prepends_bos, bridge.cfg.tokenizer_appends_eos = detect_tokenizer_bos_eos(bridge.tokenizer)
    return bridge


@torch.no_grad()
def run(model: InstrumentedModel, batch: Batch, looks: Sequence[Look], *, every_logit: bool) -> None:
    """See `hooks.backends.Forward`."""
    active = changes.active(model, NAME)
    bridge = kept(model, NAME, bridge_of)
    places = [place for look in looks for place in look.places]
    seen: set[Place] = set()

    def change(how: Callable[[Tensor], Tensor], x: Tensor, hook: Any) -> Tensor:
        return how(x)

    def see(look: Look, place: Place, x: Tensor, hook: Any) -> Tensor | None:
        seen.add(place)
        if "query" in place.site.dims and look.queries is not None:
            x = x[:, :, look.queries]
        return look.take(place, as_site(place, x))

    # Changes come before looks, so that what is seen is what goes on.
    asked: list[tuple[Place, Callable[..., Tensor | None]]] = []
    asked += [(place, partial(change, how)) for place, how in active.items()]
    asked += [(place, partial(see, look, place)) for look in looks for place in look.places]
    bridge.set_use_attn_result(any(place.site.short == "result" for place in places))
    # Once, and not through `run_with_hooks`, which lists all its hooks again for every hook it adds.
    have, points = bridge.hook_dict, []
    options = {**batch.kwargs(), "use_cache": False, "logits_to_keep": 0 if every_logit else 1}
    try:
        for place, do in asked:
            name = hook_name(place, have)
            if name is None:
                raise _nowhere(model, have, place)
            have[name].add_hook(do)
            points.append(have[name])
        bridge(options.pop("input_ids"), **options)
    finally:
        for point in points:
            point.remove_hooks()
    silent = [place for place in places if place not in seen]
    if silent:
        raise _nowhere(model, have, silent[0])


def as_site(place: Place, x: Tensor) -> Tensor:
    """A bridge's values as the site has them, (batch, *site.dims)."""
    if place.site.short == "attn_scores":  # masked with the lowest number there is
        return x.masked_fill(x <= torch.finfo(x.dtype).min / 2, float("-inf"))
    return x.reshape(x.shape[: len(place.site.dims) + 1])  # a scale comes with an axis of one


def hook_name(place: Place, have: Container[str]) -> str | None:
    """The name under which a bridge, or its cache, has a place; None if it has none. `have` are all its names."""
    site = place.site
    table = _UNROTATED if site.short in _UNROTATED and "pos_embed.hook_out" in have else _NAMES
    name = table.get(site.short, site.name).format(layer=place.layer)
    return name if name in have else None


def _nowhere(model: InstrumentedModel, have: Container[str], place: Place) -> SiteNotFound:
    offers = [
        short
        for short, layers in model.sites.items()
        if short != place.site.short and hook_name(Place(SITES[short], layers[0] if layers else None), have)
    ]
    return SiteNotFound(
        f"TransformerLens shows no {place.name!r} of {model.card.name}.",
        f"one of {', '.join(offers)}",
        "Choose one of those, or use the back end 'torch'.",
    )
