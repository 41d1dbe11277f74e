"""Standing at places while the model runs: one door to everything the hook layer can look at or
change.

A place is reached through a module's input or output (`hooks.sites`) or inside the attention call
(`hooks.attention`); who watches need not know which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, cast

import torch

from hooks import sites
from hooks.attention import AttentionCall, attention_taps, probabilities
from hooks.device_transfer import indices
from hooks.eager_eval import running

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel
    from hooks.sites import Place

_ORDER = {"attn_scores": 1, "pattern": 2}
"""Inside attention: what is changed comes before what is computed from it."""
HookFn = Callable[["Place", "Tensor"], "Tensor | None"]


@contextmanager
def hook_sites(
    model: InstrumentedModel,
    places: Sequence[Place],
    take: HookFn,
    *,
    queries: list[int] | None = None,
) -> Iterator[None]:
    """Call `take(place, values)` whenever the forward pass comes by one of the places.

    Args:
        take: gets (batch, *site.dims) in the model's dtype, padded on the left as the batch is.
            What it returns, if not None, takes the values' place, where the site can be changed
            (see `sites.can_change`).
        queries: the query rows of `pattern` and `attn_scores` that are wanted, as columns of the
            batch; None is all, and only then can they be changed.

    Raises:
        SiteNotFound: the model's attention hides what was asked for.
        WorkbenchError: the model's layers were replaced since it was loaded.
    """
    model.layout.check()
    inside: dict[int, list[Place]] = {}
    with ExitStack() as stack:
        stack.enter_context(running(model.module))
        for place in places:
            if sites.in_attention(model.layout, place):
                assert place.layer is not None
                inside.setdefault(place.layer, []).append(place)
                continue
            tap = sites.tap(model.layout, place)
            assert tap is not None  # `sites.resolve` has checked
            rows = queries if "query" in place.site.dims else None
            stack.callback(
                tap.attach(
                    partial(take, place) if rows is None else partial(_rows, take, place, rows)
                ).remove
            )
        if inside:
            taps = {
                layer: partial(_run_requests, places_of_layer, take, queries)
                for layer, places_of_layer in inside.items()
            }
            stack.enter_context(attention_taps(model.layout, taps, model.card.name))
        yield


def _rows(take: HookFn, place: Place, queries: list[int], x: Tensor) -> None:
    take(place, x[:, :, indices(tuple(queries), x.device)])


def _run_requests(
    places: Sequence[Place], take: HookFn, queries: list[int] | None, call: AttentionCall
) -> None:
    rows = slice(None) if queries is None else indices(tuple(queries), call.query.device)
    scores: Tensor | None = None
    for place in sorted(places, key=lambda p: _ORDER.get(p.site.short, 0)):
        match place.site.short:
            case "attn_scores":
                scores = call.scores(rows)
                new = take(place, scores)
                if new is not None and _differs(new, scores) and queries is None:
                    call.given_scores = scores = new
            case "pattern":
                # Scores are large: where both are asked for, they are computed once.
                given = scores is None or call.given_pattern is not None
                pattern = (
                    call.pattern(rows)
                    if given
                    else probabilities(cast("Tensor", scores), call.options)
                )
                new = take(place, pattern)
                if new is not None and _differs(new, pattern) and queries is None:
                    call.given_pattern = new
            case short:
                part = {"rot_q": "query", "rot_k": "key", "v": "value"}[short]
                new = take(place, getattr(call, part).transpose(1, 2))
                if new is not None:
                    setattr(call, part, new.transpose(1, 2))


def _differs(new: Tensor, old: Tensor) -> bool:
    """Whether attention has to be computed from what is given: that rounds otherwise than the
    model's own kernel.
    """
    return new.requires_grad or not torch.equal(new, old)
