"""Prompts side by side: padding on the left, and which prompts may share a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor

from hooks import context_window
from hooks.module_call import call
from hooks.prompts import Prompts, ids_of
from hooks.weights import dtype_of
from hooks.without_interventions import undisturbed
from workbench.errors import BadInput

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


@dataclass(frozen=True)
class Batch:
    """Left-padded prompts, ready for a forward pass. All tensors are (batch, pos)."""

    input_ids: Int[Tensor, "batch pos"]
    attention_mask: Int[Tensor, "batch pos"]
    position_ids: Int[Tensor, "batch pos"]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each prompt, without the padding."""
        return self.attention_mask.sum(1).tolist()

    def kwargs(self) -> dict[str, Int[Tensor, "batch pos"]]:
        """The batch as a module's `forward` takes it."""
        return {
            "input_ids": self.input_ids,
            "attention_mask": self.attention_mask,
            "position_ids": self.position_ids,
        }


def padded(model: InstrumentedModel, prompts: Prompts) -> Batch:
    """Prompts as token ids, padded on the left.

    Raises:
        BadInput: no prompt, an empty one, one longer than the model's table of positions, or
            several lengths where the model reads padding like text.
    """
    ids = ids_of(model, prompts)
    longest = max(map(len, ids))
    if len(set(map(len, ids))) > 1 and not model.ignores_padding:
        raise BadInput(
            f"{model.card.name} reads padding like text: prompts of different lengths cannot"
            " share a batch.",
            "prompts of one length",
            "Run them one by one.",
        )
    context_window.check(model, longest)
    # What stands in the padding is never looked at; any id that has an embedding does.
    pad = model.tokenizer.pad_token_id
    pad = pad if pad is not None and 0 <= pad < model.text.n_embeddings else 0
    input_ids = torch.tensor(
        [[pad] * (longest - len(row)) + row for row in ids], device=model.device
    )
    mask = torch.tensor(
        [[0] * (longest - len(row)) + [1] * len(row) for row in ids], device=model.device
    )
    return Batch(input_ids, mask, (mask.cumsum(1) - 1).clamp(min=0))


def batch_indices(lengths: Sequence[int], size: int, *, one_length: bool) -> list[list[int]]:
    """Which prompts share a batch: up to `size` in the order given.

    Args:
        lengths: tokens per prompt.
        one_length: only prompts of the same length may.
    """
    groups: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        groups.setdefault(length if one_length else 0, []).append(index)
    return [
        indices[start : start + size]
        for indices in groups.values()
        for start in range(0, len(indices), size)
    ]


def ignores_padding(model: InstrumentedModel) -> bool:
    """Whether padding on the left changes nothing in the model's logits: tried on four tokens.

    Some recurrent families read it like text.
    """
    ids = [model.card.d_vocab // 2 + i for i in range(4)]
    rows = ([ids[0], *ids], [0, 1, 1, 1, 1], [0, 0, 1, 2, 3])
    with_pad = Batch(*(torch.tensor([row], device=model.device) for row in rows))

    def last_logits(batch: Batch) -> Tensor:
        logits: Tensor = call(model.module, **batch.kwargs(), use_cache=False).logits[0, -1]
        return logits.float()

    with undisturbed(model.module):
        alone, with_padding = last_logits(model.batch([ids])), last_logits(with_pad)
    tolerance = 1e-4 if dtype_of(model.layout.embed) == torch.float32 else 3e-2
    return bool((with_padding - alone).abs().max() <= tolerance * alone.abs().max())
