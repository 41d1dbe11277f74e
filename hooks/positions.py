"""Which tokens of which row a forward pass is about: needed when a change holds only at chosen positions.

A prompt may be padded on the left, and `generate` feeds the model one token at a time, so an index into the tensor is
not a position in the text. Positions from 0 count the prompt's own tokens; negative ones count from the prompt's end
(-1 is its last token), so generated tokens are only reached by "all positions".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel


class PositionTracker:
    """Position of every token of the forward pass that is running, (batch, pos); -1 in padding."""

    def __init__(self) -> None:
        self.index: Tensor = torch.empty(0, 0, dtype=torch.long)
        self.lengths: Tensor = torch.empty(0, dtype=torch.long)  # of the prompts, per row

    def update(self, kwargs: dict[str, Any]) -> None:
        tokens = kwargs.get("input_ids")
        if tokens is None:
            tokens = kwargs["inputs_embeds"][..., 0]
        batch, n = tokens.shape
        cache = kwargs.get("past_key_values")
        past = cache.get_seq_length() if cache is not None else 0
        mask = kwargs.get("attention_mask")
        if mask is None or mask.dim() != 2:
            mask = torch.ones(batch, past + n, dtype=torch.long, device=tokens.device)
        counted = mask.cumsum(1) - 1
        self.index = counted.masked_fill(mask == 0, -1)[:, -n:]
        if past == 0:
            self.lengths = mask.sum(1)

    def at(self, positions: Sequence[int]) -> Tensor:
        """True where a token is at one of `positions`, (batch, pos)."""
        found = torch.zeros_like(self.index, dtype=torch.bool)
        for position in positions:
            wanted = position if position >= 0 else self.lengths[:, None] + position
            found |= (self.index == wanted) & (self.index >= 0)
        return found


@contextmanager
def tracked(model: InstrumentedModel) -> Iterator[PositionTracker]:
    """A tracker that follows every forward pass of the model while inside."""
    tracker = PositionTracker()

    def before(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tracker.update({"input_ids": args[0], **kwargs} if args else kwargs)

    handle = model.module.register_forward_pre_hook(before, with_kwargs=True)
    try:
        yield tracker
    finally:
        handle.remove()
