"""A check: with every state wiped, what follows is read as if nothing had stood before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from hooks.recurrent.changes import WipeState
from hooks.state_changes import change_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyses.state.recurrent_state.pair_rows import PairRows
    from hooks.model import InstrumentedModel


def distance(model: InstrumentedModel, rows: PairRows, layers: Sequence[int]) -> float | None:
    """The largest difference of two logits behind the pairs: all states wiped there, or what
    follows read alone. None where other layers remember too (attention), or not all were wiped.
    """
    attends = any(block.attention is not None for block in model.layout.blocks)
    if attends or len(layers) < model.n_layers:
        return None
    first = rows.end + 1
    tail = rows.ids[:, first:]
    with change_state(model, WipeState(), positions=[rows.end]):
        wiped = _logits(model, rows.ids)[:, first:]
    alone = _logits(model, tail)
    return float((wiped - alone).abs().max())


def _logits(model: InstrumentedModel, ids: torch.Tensor) -> torch.Tensor:
    batch = model.batch(ids.tolist())
    logits: torch.Tensor = model.forward(**batch.kwargs(), use_cache=False).logits
    return logits.float()
