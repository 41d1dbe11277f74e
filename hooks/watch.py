"""Standing at places while the model runs: one door to everything the hook layer can look at or change.

A place is reached through a module's input or output (`hooks.sites`) or inside the attention call
(`hooks.attention`); who watches need not know which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from hooks import sites
from hooks.attention import AttentionCall, attention_taps

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel
    from hooks.sites import Place

Take = Callable[["Place", "Tensor"], "Tensor | None"]


@contextmanager
def watching(
    model: InstrumentedModel, places: Sequence[Place], take: Take, *, queries: list[int] | None = None
) -> Iterator[None]:
    """Call `take(place, values)` whenever the forward pass comes by one of the places.

    Args:
        take: gets (batch, *site.dims) in the model's dtype, padded on the left as the batch is. What it returns, if
            not None, takes the values' place (not at the sites inside the attention call, which can only be looked at).
        queries: the query rows of `pattern` and `scores` that are wanted, as columns of the batch; None is all.

    Raises:
        SiteNotFound: the model's attention hides what was asked for.
    """
    inside: dict[int, list[Place]] = {}
    with ExitStack() as stack:
        for place in places:
            if place.site.short in sites.ATTENTION_SITES:
                assert place.layer is not None
                inside.setdefault(place.layer, []).append(place)
                continue
            tap = sites.tap(model.layout, place)
            assert tap is not None  # `sites.resolve` has checked
            stack.callback(tap.attach(partial(take, place)).remove)
        if inside:
            taps = {layer: partial(_look, here, take, queries) for layer, here in inside.items()}
            stack.enter_context(attention_taps(model.layout, taps, model.card.name))
        yield


def _look(places: Sequence[Place], take: Take, queries: list[int] | None, call: AttentionCall) -> None:
    rows = slice(None) if queries is None else queries
    for place in places:
        short = place.site.short
        if short == "pattern":
            take(place, call.pattern(rows))
        else:
            take(place, {"rot_q": call.query, "rot_k": call.key, "v": call.value}[short].transpose(1, 2))
