"""The default back end: plain forward hooks on the module itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch

from hooks.sites import STATE_SITES
from hooks.states import pass_on
from hooks.watch import watching

if TYPE_CHECKING:
    from hooks.backends import Look
    from hooks.model import Batch, InstrumentedModel


@torch.no_grad()
def run(model: InstrumentedModel, batch: Batch, looks: Sequence[Look], *, every_logit: bool) -> None:
    """See `hooks.backends.Forward`."""
    remembered = [[p for p in look.places if p.site.short in STATE_SITES] for look in looks]
    with ExitStack() as stack:
        for look, elsewhere in zip(looks, remembered, strict=True):
            passed = [p for p in look.places if p not in elsewhere]
            stack.enter_context(watching(model, passed, look.take, queries=look.queries))
        model.module(**batch.kwargs(), use_cache=False, logits_to_keep=0 if every_logit else 1)
    for look, places in zip(looks, remembered, strict=True):
        if places:  # what recurrent layers remember does not pass in a parallel forward pass
            pass_on(model, batch, places, look.take)
