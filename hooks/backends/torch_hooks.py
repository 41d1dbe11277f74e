"""The default back end: plain forward hooks on the module itself.

What comes after the last place is not computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch

from hooks.finite_check import check_values
from hooks.hook_points import hook_sites
from hooks.sites import STATE_SITES
from hooks.states import capture_states

if TYPE_CHECKING:
    from hooks.backends import Look
    from hooks.model import Batch, InstrumentedModel
    from hooks.sites import Place


@torch.no_grad()
def run(
    model: InstrumentedModel, batch: Batch, looks: Sequence[Look], *, every_logit: bool
) -> None:
    """See `hooks.backends.Forward`."""
    remembered = [[p for p in look.places if p.site.short in STATE_SITES] for look in looks]
    with ExitStack() as stack:
        for look, elsewhere in zip(looks, remembered, strict=True):
            passed = [p for p in look.places if p not in elsewhere]
            stack.enter_context(hook_sites(model, passed, look.take, queries=look.queries))
        stack.enter_context(_ending(model, [p for look in looks for p in look.places]))
        model.forward(**batch.kwargs(), use_cache=False, logits_to_keep=0 if every_logit else 1)
    for look, places in zip(looks, remembered, strict=True):
        if places:  # what recurrent layers remember does not pass in a parallel forward pass
            capture_states(model, batch, places, look.take)


class _Enough(Exception):
    """The forward pass has come by every place."""


@contextmanager
def _ending(model: InstrumentedModel, places: Sequence[Place]) -> Iterator[None]:
    """End the forward pass before the first layer above the last place, if there is one."""
    blocks = model.layout.blocks
    last = max(
        (len(blocks) if place.layer is None else place.layer for place in places),
        default=len(blocks),
    )
    if last + 1 >= len(blocks):
        yield
        return

    def enough(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # No logits will say whether this went well; the residual stream does.
        check_values(
            model,
            f"the residual stream before layer {last + 1}",
            args[0] if args else kwargs["hidden_states"],
        )
        raise _Enough

    # Before a layer, not after one: whatever else stands at the last place has its turn.
    handle = blocks[last + 1].module.register_forward_pre_hook(
        enough, with_kwargs=True, prepend=True
    )
    try:
        yield
    except _Enough:
        pass
    finally:
        handle.remove()
