"""Text through a model, and what passes at some places, window by window: only that is computed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hooks import out_of_memory
from hooks.backends import torch_hooks
from hooks.backends.hook_request import HookRequest

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from hooks.sites import Place


def windows(model: InstrumentedModel, texts: Iterable[str], length: int) -> Iterator[list[int]]:
    """Texts one after the other, parted by the token that ends a document, cut into windows of one
    length.

    Every window begins as a prompt does (`hooks.beginning_token`). What is left at the end, shorter
    than a window, is dropped.
    """
    end, first = model.tokenizer.eos_token_id, list(model.text.beginning)
    room = length - len(first)
    waiting: list[int] = []
    for text in texts:
        waiting += [*model.text.encode(text), *([] if end is None else [end])]
        while len(waiting) >= room:
            yield first + waiting[:room]
            waiting = waiting[room:]


@torch.no_grad()
def values(
    model: InstrumentedModel, places: Sequence[Place], ids: Sequence[Sequence[int]]
) -> dict[Place, Tensor]:
    """What passes at the places when windows of one length are read, (window, pos, …) each, on
    the model's device.
    """

    def read(part: list[int]) -> dict[Place, Tensor]:
        found: dict[Place, Tensor] = {}
        batch = model.batch([ids[i] for i in part])
        torch_hooks.run(model, batch, [HookRequest(places, found.__setitem__)], every_logit=False)
        return found

    parts = [found for _, found in out_of_memory.results_in_parts(model, range(len(ids)), read)]
    if len(parts) == 1:
        return parts[0]
    return {place: torch.cat([part[place] for part in parts]) for place in parts[0]}


@torch.no_grad()
def token_losses(
    model: InstrumentedModel, ids: Sequence[Sequence[int]]
) -> Float[Tensor, "window pos"]:
    """`next_losses` of windows of one length: together, or in smaller batches where memory runs
    out.
    """

    def read(part: list[int]) -> Tensor:
        batch = model.batch([ids[i] for i in part])
        return next_losses(model.forward(**batch.kwargs(), use_cache=False).logits, batch.input_ids)

    found = out_of_memory.results_in_parts(model, range(len(ids)), read)
    return torch.cat([losses for _, losses in found])


def next_losses(
    logits: Float[Tensor, "window _ d_vocab"], ids: Int[Tensor, "window pos"]
) -> Float[Tensor, "window pos"]:
    """Nats that each token cost, given those before it, (window, pos), float32; NaN at the first.

    Args:
        logits: (window, pos, d_vocab), with or without the last token's; ids: (window, pos).
    """
    found = torch.full(ids.shape, torch.nan, dtype=torch.float32, device=ids.device)
    predictions = logits[:, : ids.shape[1] - 1].float().transpose(1, 2)
    found[:, 1:] = torch.nn.functional.cross_entropy(predictions, ids[:, 1:], reduction="none")
    return found
