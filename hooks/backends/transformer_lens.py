"""The TransformerLens back end: `TransformerBridge` around the module's own weights, looked at
through its hook points.

The bridge runs `transformers`' layers, but computes attention itself (eager) and names what passes.
Weights are neither folded nor centred. Where a family keeps queries, keys and values in one
interleaved matrix (GPT-NeoX), the bridge has to rearrange that matrix into three of its own;
everything else is the loaded module's storage.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.backends import active_interventions, torch_hooks
from hooks.backends.hook_request import HookRequest
from hooks.backends.module_copy import copy_of, twin
from hooks.finite_check import check_logits
from hooks.sites import SITES, Place
from hooks.without_interventions import undisturbed
from workbench.errors import SiteNotFound, Unfit

if TYPE_CHECKING:
    from transformer_lens.hook_points import HookPoint
    from transformer_lens.model_bridge import TransformerBridge

    from hooks.batch import Batch
    from hooks.model import InstrumentedModel

NAME = "transformer_lens"
HookPointFn = Callable[["Tensor"], "Tensor | None"]
_PROBE = (3, 14, 15, 92, 65, 35)
_NAMES = {
    "logits": "unembed.hook_out"
}  # sites that the bridge has under another name than `hooks.sites`
# Where positions are learned embeddings nothing is rotated, and queries are used as they are
# projected.
_UNROTATED = {"rot_q": "blocks.{layer}.attn.hook_q", "rot_k": "blocks.{layer}.attn.hook_k"}


def bridge_of(model: InstrumentedModel) -> TransformerBridge:
    """A `TransformerBridge` on the model's own weights, with no hooks on it.

    Nothing is downloaded or copied.

    Raises:
        Unfit: it does not know this architecture.
        BadInput: the model is spread over several devices.
    """
    from transformer_lens.model_bridge.sources import (
        build_bridge_from_module,
        detect_tokenizer_bos_eos,
    )

    module = twin(model, NAME)
    config = copy.deepcopy(model.module.config)  # the bridge keeps settings of its own in it
    try:
        bridge = build_bridge_from_module(
            module, type(module).__name__, hf_config=config, model_name=model.card.name
        )
    except ValueError as error:
        raise Unfit(
            f"TransformerLens has no bridge for {type(module).__name__}: {error}",
            "an architecture that it supports",
            "Use the back end 'torch'.",
        ) from error
    bridge.tokenizer = copy.copy(model.tokenizer)
    bridge.cfg.tokenizer_prepends_bos, bridge.cfg.tokenizer_appends_eos = detect_tokenizer_bos_eos(
        bridge.tokenizer
    )
    return bridge


@torch.no_grad()
def run(
    model: InstrumentedModel, batch: Batch, requests: Sequence[HookRequest], *, every_logit: bool
) -> None:
    """See `hooks.backends.Forward`."""
    active = active_interventions.active(model, NAME)
    held = copy_of(model, NAME, _Held)
    wanted = [*active, *(place for r in requests for place in r.places)]
    held.compare(wanted)
    strange = [place for place in wanted if not held.same[place]]
    if strange:
        offers = [
            short
            for short in model.sites
            if any(s and p.site.short == short for p, s in held.compare_first(model).items())
        ]
        raise SiteNotFound(
            f"TransformerLens does not show {strange[0].name!r} of {model.card.name} as the model"
            " computes it.",
            f"one of {', '.join(offers)}",
            "Choose one of those, or use the back end 'torch'.",
        )

    def change(new_values: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        return new_values(x)

    def show(request: HookRequest, place: Place, x: Tensor) -> Tensor | None:
        return request.hand_over(place, as_site(place, x))

    # Interventions come before requests, so that what is shown is what goes on.
    hooks: list[tuple[Place, HookPointFn]] = [
        (place, partial(change, new_values)) for place, new_values in active.items()
    ]
    hooks += [(place, partial(show, r, place)) for r in requests for place in r.places]
    check_logits(
        model,
        held.forward(batch, hooks, every_logit=every_logit),
        {**batch.kwargs(), "use_cache": False},
    )


class _Held:
    """A bridge, and for which places it shows what the module computes."""

    def __init__(self, model: InstrumentedModel) -> None:
        from hooks.model import InstrumentedModel
        from workbench.models import Loaded

        self.bridge = bridge_of(model)
        self.have: Mapping[str, Any] = self.bridge.hook_dict  # a new list at every call
        # To compare with: the same weights, and none of the interventions that may be on.
        self.plain = InstrumentedModel(Loaded(twin(model, NAME), model.tokenizer, model.card))
        self.same: dict[Place, bool] = {}

    def forward(
        self, batch: Batch, hooks: Sequence[tuple[Place, HookPointFn]], *, every_logit: bool
    ) -> Float[Tensor, "batch pos d_vocab"]:
        """Run the bridge with these at its hook points (not by `run_with_hooks`, slow to add
        many), and give its logits.
        """
        options = {**batch.kwargs(), "use_cache": False, "logits_to_keep": 0 if every_logit else 1}
        self.bridge.set_use_attn_result(any(place.site.short == "result" for place, _ in hooks))
        points = []
        try:
            for place, fn in hooks:
                points.append(self.have[str(hook_name(place, self.have))])
                points[-1].add_hook(partial(_without_hook, fn))
            logits: Tensor = self.bridge(options.pop("input_ids"), **options)
            return logits
        finally:
            for point in points:
                point.remove_hooks()

    def compare(self, places: Sequence[Place]) -> None:
        """Find out, on a few tokens, at which places the bridge shows something else, or
        nothing.
        """
        new = [place for place in dict.fromkeys(places) if place not in self.same]
        if not new:
            return
        self.same |= dict.fromkeys(new, False)
        batch = self.plain.batch([[token % self.plain.card.d_vocab for token in _PROBE]])
        ours: dict[Place, Tensor] = {}
        theirs: dict[Place, Tensor] = {}
        named = [place for place in new if hook_name(place, self.have) is not None]
        named = [place for place in named if place.site.short != "result" or self._splits_results()]
        with undisturbed(self.plain.module):
            torch_hooks.run(
                self.plain, batch, [HookRequest(named, partial(_store, ours))], every_logit=True
            )
        self.forward(
            batch, [(place, partial(_store, theirs, place)) for place in named], every_logit=True
        )
        for place in named:
            if place in theirs:
                self.same[place] = _alike(ours[place], as_site(place, theirs[place]))

    def compare_first(self, model: InstrumentedModel) -> dict[Place, bool]:
        """Every site's first layer, compared."""
        first = [
            Place(SITES[short], layers[0] if layers else None)
            for short, layers in model.sites.items()
        ]
        self.compare(first)
        return {place: self.same[place] for place in first}

    def _splits_results(self) -> bool:
        """Whether the bridge can show each head's result."""
        try:
            self.bridge.set_use_attn_result(True)
        except NotImplementedError:
            return False
        return True


def same_in_both(model: InstrumentedModel, places: Sequence[Place]) -> list[Place]:
    """Those of the places at which a bridge shows what the module computes."""
    held = copy_of(model, NAME, _Held)
    held.compare(places)
    return [place for place in places if held.same[place]]


def _without_hook(fn: HookPointFn, x: Tensor, hook: HookPoint) -> Tensor | None:
    return fn(x)


def _store(found: dict[Place, Tensor], place: Place, x: Tensor) -> None:
    found[place] = x.clone()


def _alike(ours: Tensor, theirs: Tensor) -> bool:
    """Equal but for rounding; kernels differ, so to a ten-thousandth in float32 and a twentieth
    in half precision.
    """
    if ours.shape != theirs.shape:
        return False
    share = 1e-4 if ours.dtype == torch.float32 else 5e-2
    ours, theirs = ours.float(), theirs.float()
    equal = (ours == theirs) | (ours.isnan() & theirs.isnan())
    off = torch.where(equal, 0.0, (ours - theirs).abs())
    size = torch.where(ours.isfinite(), ours, 0.0).abs().max().clamp(min=1.0)
    return bool((off <= size * share).all())


def as_site(place: Place, x: Tensor) -> Tensor:
    """A bridge's values as the site has them, (batch, *site.dims)."""
    if place.site.short == "attn_scores":  # masked with the lowest number there is
        return x.masked_fill(x <= torch.finfo(x.dtype).min / 2, float("-inf"))
    one_more = x.dim() == len(place.site.dims) + 2 and x.shape[-1] == 1
    return x[..., 0] if one_more else x  # a norm's scale has an axis of one


def hook_name(place: Place, have: Container[str]) -> str | None:
    """The name under which a bridge, or its cache, has a place.

    None if it has none. `have` are all its names.
    """
    site = place.site
    table = _UNROTATED if site.short in _UNROTATED and "pos_embed.hook_out" in have else _NAMES
    name = table.get(site.short, site.name).format(layer=place.layer)
    return name if name in have else None
