"""Reading past the trained window (LM-Infinite, Han et al. 2024): a token sees the first few and
the newest, and none further away than in training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.attention import AttentionCall, soft_cap
from hooks.kv_cache.context_memory import check_attention, tapped
from hooks.kv_cache.reading import read_context
from workbench.errors import BadInput, Unfit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hooks.kv_cache.rotary import Rotary
    from hooks.model import InstrumentedModel

FIRST = 10
_AT_ONCE = 256  # queries


def rotary_of(model: InstrumentedModel, probe: str = "one two three one two three") -> Mapping[
    int, Rotary
]:  # fmt: skip
    """How positions turn keys, by layer.

    Raises:
        Unfit: they do not, or in a way that is not known.
    """
    ids = model.tokens(probe)
    turns = read_context(model, [*ids, *ids, *ids]).rotary
    if set(turns) != set(check_attention(model)):
        raise Unfit(
            f"Positions of {model.card.name} are not rotary, so no distance can be held back.",
            "a model whose layers all turn their keys by position",
            "Take another family (Llama, Qwen, Gemma, Pythia, Mistral …).",
        )
    return turns


@contextmanager
def lambda_attention(
    model: InstrumentedModel, window: int, *, first: int = FIRST
) -> Iterator[None]:
    """Inside, whole texts are read so that each token sees the last `window` and the first `first`
    ones, the latter as if they were `window` tokens away. Up to `window` tokens nothing changes.

    For passes without a cache.

    Raises:
        BadInput: a window that is no longer than the first tokens.
        Unfit: positions are not rotary.
    """
    if window <= first:
        raise BadInput(
            f"A window of {window} tokens, of which {first} are the first.",
            "more than the first tokens",
            "Ask for a longer one.",
        )
    turns = rotary_of(model)

    def of_layer(layer: int) -> Callable[[AttentionCall], Tensor]:
        return lambda it: _attend(it, turns[layer], window, first)

    with tapped(model, {layer: of_layer(layer) for layer in turns}):
        yield


def _attend(
    it: AttentionCall, turn: Rotary, window: int, first: int
) -> Float[Tensor, "batch query head d_value"]:
    n, n_kv = it.query.shape[2], it.key.shape[1]
    own = it.options.get("sliding_window")
    local = min(window, int(own)) if own else window
    start = torch.arange(min(first, n), device=it.key.device)
    sinks = turn.turn(it.key[:, :, : len(start)].float(), -start)
    pieces = []
    for low in range(0, n, _AT_ONCE):
        high = min(low + _AT_ONCE, n)
        at = torch.arange(low, high, device=it.key.device)
        oldest = max(0, low - local + 1)
        keys, query = it.key[:, :, oldest:high].float(), it.query[:, :, low:high].float()
        where = torch.arange(oldest, high, device=it.key.device)
        near = _products(query, keys, n_kv, it.scaling)
        hidden = (where > at[:, None]) | (where <= at[:, None] - local)
        near = soft_cap(near, it.options).masked_fill(hidden, -torch.inf)
        far_query = turn.turn(query, window - at)
        far = soft_cap(_products(far_query, sinks, n_kv, it.scaling), it.options)
        # A first token that is still in the window is seen there.
        seen = torch.full_like(hidden[:, :1], bool(own)) | (start > at[:, None] - local)
        far = far.masked_fill(seen, -torch.inf)
        pattern = torch.cat([far, near], -1).softmax(-1)
        values = torch.cat([it.value[:, :, : len(start)], it.value[:, :, oldest:high]], 2).float()
        grouped = pattern.reshape(pattern.shape[0], n_kv, -1, pattern.shape[-1]) @ values
        pieces.append(grouped.view(*pattern.shape[:3], -1).transpose(1, 2))
    return torch.cat(pieces, 1).to(it.query.dtype)


def _products(
    query: Float[Tensor, "batch head query d_head"],
    keys: Float[Tensor, "batch kv_head key d_head"],
    n_kv: int,
    scaling: float,
) -> Float[Tensor, "batch head query key"]:
    flat = query.reshape(query.shape[0], n_kv, -1, query.shape[-1]) @ keys.transpose(2, 3)
    return scaling * flat.view(*query.shape[:3], keys.shape[2])
