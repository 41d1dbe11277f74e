"""The default back end: plain forward hooks on the module itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from hooks.watch import watching

if TYPE_CHECKING:
    from hooks.model import Batch, InstrumentedModel
    from hooks.sites import Place
    from hooks.watch import Take


@torch.no_grad()
def run(model: InstrumentedModel, batch: Batch, places: Sequence[Place], take: Take, queries: list[int] | None = None) -> None:
    """See `hooks.backends.Forward`."""
    needs_all_logits = any(place.site.short == "logits" for place in places)
    with watching(model, places, take, queries=queries):
        model.module(**batch.kwargs(), use_cache=False, logits_to_keep=0 if needs_all_logits else 1)
