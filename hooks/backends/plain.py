"""The default back end: plain forward hooks on the module itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch

from hooks.watch import watching

if TYPE_CHECKING:
    from hooks.backends import Look
    from hooks.model import Batch, InstrumentedModel


@torch.no_grad()
def run(model: InstrumentedModel, batch: Batch, looks: Sequence[Look], *, every_logit: bool) -> None:
    """See `hooks.backends.Forward`."""
    with ExitStack() as stack:
        for look in looks:
            stack.enter_context(watching(model, look.places, look.take, queries=look.queries))
        model.module(**batch.kwargs(), use_cache=False, logits_to_keep=0 if every_logit else 1)
