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
from hooks.state_capture import capture_states

if TYPE_CHECKING:
    from torch import nn

    from hooks.backends.hook_request import HookRequest
    from hooks.batch import Batch
    from hooks.model import InstrumentedModel
    from hooks.sites import Place


@torch.no_grad()
def run(
    model: InstrumentedModel, batch: Batch, requests: Sequence[HookRequest], *, every_logit: bool
) -> None:
    """See `hooks.backends.Forward`."""
    # What recurrent layers remember does not pass by a place of the module.
    of_states = [[p for p in r.places if p.site.short in STATE_SITES] for r in requests]
    with ExitStack() as stack:
        for request, places in zip(requests, of_states, strict=True):
            passing = [p for p in request.places if p not in places]
            stack.enter_context(hook_sites(model, passing, request.take, queries=request.queries))
        stack.enter_context(_ending(model, [p for r in requests for p in r.places]))
        model.forward(**batch.kwargs(), use_cache=False, logits_to_keep=0 if every_logit else 1)
    for request, places in zip(requests, of_states, strict=True):
        if places:
            capture_states(model, batch, places, request.take, request.queries)


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

    def enough(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
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
