"""Tokens that stand for a memory (recurrent memory tokens, RMT, Bulatov et al. 2022; HMT, He et
al. 2024; soft prompts; MemoryLLM's pools): the other tokens of a text read them by attention.

A slot is a memory token, what a head reads of it its attention probability, its value what the head
writes for it into the residual stream. The same positions are slots in every layer and every
segment of a text; what stands in them is what the model put there.

    places = memory_token_places(model, range(8))
    with all_masked(places, [[3]] * len(places)): ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hooks.attention import AttentionCall, attention_taps, spying
from hooks.layout import Block
from hooks.memory_modules.adapter import MemoryAdapter
from hooks.memory_modules.places import MemoryPlace
from hooks.memory_modules.vocabulary import MemoryCall, MemoryReads, MemorySlots
from hooks.weights import bias_of, dense_weight
from workbench.errors import BadInput, Unfit

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

NAME = "memory tokens"


def memory_token_places(model: InstrumentedModel, positions: Sequence[int]) -> list[MemoryPlace]:
    """The tokens at these positions as a memory, in each layer with attention.

    Args:
        positions: of the memory tokens among all that a layer sees, the same in every segment.

    Raises:
        BadInput: no positions, one twice, or one below zero. When a text is read: one that is not
            there.
        Unfit: no layer has attention whose heads go through one matrix into the residual stream.
    """
    chosen = list(positions)
    if not chosen or min(chosen) < 0 or len(set(chosen)) < len(chosen):
        raise BadInput(
            f"{chosen} are no positions of memory tokens.",
            "different numbers from 0 on",
            "Say which of the tokens that a layer sees are memory.",
        )
    found = [
        MemoryPlace(f"blocks.{layer}.memory", layer, block.attention_call,
                    _adapter(model, layer, block, chosen))
        for layer, block in enumerate(model.layout.blocks)
        if block.attention_call is not None and block.out_proj is not None and not block.gated
    ]  # fmt: skip
    if not found:
        raise Unfit(
            f"{model.card.name} has no attention whose heads write into the residual stream.",
            "attention with one output matrix, and no gate before it",
            "Choose another model.",
        )
    return found


def _adapter(
    model: InstrumentedModel, layer: int, block: Block, positions: list[int]
) -> MemoryAdapter:
    attention, out = block.attention_call, block.out_proj
    assert attention is not None
    assert out is not None
    seen: list[AttentionCall] = []

    def around(module: nn.Module) -> AbstractContextManager[None]:
        return spying(module, lambda call: seen.__setitem__(slice(None), [call]))

    def last() -> AttentionCall:
        if not seen:
            raise BadInput(
                f"The attention of layer {layer} went by unseen.",
                "attention that goes through transformers' attention interface",
                "Load the model with attn_implementation='sdpa'.",
            )
        if (longest := seen[0].key.shape[2]) <= max(positions):
            raise BadInput(
                f"There is no token {max(positions)}: layer {layer} sees {longest}.",
                f"positions of memory tokens from 0 to {longest - 1}",
                "Correct the positions, or read a longer text.",
            )
        return seen[0]

    def slots(module: nn.Module) -> MemorySlots:
        if not seen:
            return MemorySlots(len(positions), space="recurrent")
        call = last()
        written = _written(call, dense_weight(out), positions)
        key = _every_head(call.key[:, :, positions], call.query.shape[1])
        return MemorySlots(len(positions), key, written, "recurrent")

    def reads(call: MemoryCall) -> MemoryReads:
        here = last()
        weight = here.pattern()[..., positions].transpose(1, 2).to(call.output.dtype)
        return MemoryReads(weight)

    def rest(call: MemoryCall) -> Tensor:
        here = last()
        others = [n for n in range(here.key.shape[2]) if n not in set(positions)]
        weight = here.pattern()[..., others].to(call.output.dtype)
        total = torch.einsum(
            "bhqk,bhkd->bqd", weight, _written(here, dense_weight(out), others).to(weight)
        )
        bias = bias_of(out)
        return total if bias is None else total + bias

    def zeroed(module: nn.Module, which: Tensor) -> AbstractContextManager[None]:
        return _empty(model, layer, [positions[n] for n in which.tolist()])

    return MemoryAdapter(
        NAME, lambda module: module is attention, slots, reads, rest=rest, zeroed=zeroed,
        around=around,
    )  # fmt: skip


def _every_head(x: Tensor, heads: int) -> Tensor:
    """(batch, head, pos, d) of (batch, kv_head, pos, d)."""
    return x.repeat_interleave(heads // x.shape[1], 1)


def _written(call: AttentionCall, out: Tensor, positions: Sequence[int]) -> Tensor:
    """What each head writes into the residual stream for a token that it fully looks at, (batch,
    head, pos, d_model).
    """
    heads = call.query.shape[1]
    value = _every_head(call.value[:, :, list(positions)], heads).to(out.dtype)
    return torch.einsum("bhpd,mhd->bhpm", value, out.unflatten(-1, (heads, -1)))


@contextmanager
def _empty(model: InstrumentedModel, layer: int, positions: Sequence[int]) -> Iterator[None]:
    """Inside, the values of these tokens are zero in this layer."""

    def forget(call: AttentionCall) -> None:
        value = call.value.clone()
        value[:, :, list(positions)] = 0
        call.value = value

    taps: dict[int, Callable[[AttentionCall], Tensor | None]] = {layer: forget}
    with attention_taps(model.layout, taps, model.card.name):
        yield
