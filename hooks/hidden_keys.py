"""Tokens that others do not see: as if they had been dropped from the key-value cache, while all
positions stay as they are.

Attention runs with its own kernel and a mask of the model's own plus what is hidden, so a batch may
hide other tokens in each row, and a pass over it costs what it costs without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from hooks.attention import AttentionCall, attention_taps
from hooks.eager_eval import steady
from workbench.errors import BadInput, Unfit

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


def unavailable_reason(model: InstrumentedModel) -> str | None:
    """Why no token of this model's prompts can be hidden from others, or None."""
    without = [i for i, block in enumerate(model.layout.blocks) if block.attention_call is None]
    if not without:
        return None
    if len(without) == model.n_layers:
        return f"{model.card.name} has no attention whose masks can be reached"
    return (
        f"{len(without)} of {model.n_layers} layers of {model.card.name} carry what they read in"
        " states, from which no single token can be hidden"
    )


@contextmanager
def hidden_keys(model: InstrumentedModel, hidden: Bool[Tensor, "#row query key"]) -> Iterator[None]:
    """Inside, queries do not see the keys that are hidden from them, in any layer or head.

    A pass that goes on from a cache brings fewer queries than there are keys: those of `hidden`'s
    last rows. A layer that keeps a window of keys alone takes its last columns.

    Args:
        hidden: True where a token (query) must not see another (key), for each row of the batch or
            one for all. A token always sees itself.

    Raises:
        BadInput: a token is hidden from itself; or, on the pass, more queries or keys come than
            `hidden` has.
        Unfit: the model has layers whose memory is no keys.
    """
    _check_fit(model)
    n_query, n_key = hidden.shape[1:]
    if n_query > n_key or bool(hidden.diagonal(n_key - n_query, 1, 2).any()):
        raise BadInput(
            "A token would be hidden from itself.",
            "no query without its own key",
            "Hide it from later tokens only.",
        )

    def look(call: AttentionCall) -> None:
        call.mask = _with(call, _last(call, hidden.to(call.query.device)))

    with _looking(model, look):
        yield


@contextmanager
def hidden_positions(model: InstrumentedModel, positions: Sequence[int]) -> Iterator[None]:
    """Inside, tokens behind some positions do not see these, in passes of any length that read
    prompts whole: keys are counted from the first token.

    Raises:
        BadInput: no positions.
        Unfit: the model has layers whose memory is no keys.
    """
    _check_fit(model)
    if not positions:
        raise BadInput("No token is named.", "one position or more", "Name what is hidden.")
    chosen, behind = list(positions), max(positions) + 1

    def look(call: AttentionCall) -> None:
        queries, keys = call.query.shape[2], call.key.shape[2]
        here = torch.zeros(1, queries, keys, dtype=torch.bool, device=call.query.device)
        here[:, max(0, behind - (keys - queries)) :, [at for at in chosen if at < keys]] = True
        call.mask = _with(call, here)

    with _looking(model, look):
        yield


@contextmanager
def _looking(model: InstrumentedModel, look: Callable[[AttentionCall], None]) -> Iterator[None]:
    with (
        steady(model.module),
        attention_taps(model.layout, dict.fromkeys(range(model.n_layers), look), model.card.name),
    ):
        yield


def _check_fit(model: InstrumentedModel) -> None:
    reason = unavailable_reason(model)
    if reason:
        raise Unfit(
            f"{reason[0].upper()}{reason[1:]}.",
            "attention in every layer",
            "Replace the tokens by others instead.",
        )


def _last(
    call: AttentionCall, hidden: Bool[Tensor, "#row query key"]
) -> Bool[Tensor, "#row last seen"]:
    """What is hidden from the queries of a call: the last ones."""
    queries, keys = call.query.shape[2], call.key.shape[2]
    if queries > hidden.shape[1] or keys > hidden.shape[2]:
        raise BadInput(
            f"{queries} tokens look at {keys}.",
            f"at most {hidden.shape[1]} and {hidden.shape[2]}, as what is hidden says",
            "Give a mask of the whole prompt.",
        )
    return hidden[:, -queries:, hidden.shape[2] - keys :]


def _with(
    call: AttentionCall, hidden: Bool[Tensor, "#row last seen"]
) -> Shaped[Tensor, "#row #head last seen"]:
    """The call's own mask, and what is hidden besides."""
    queries, keys = hidden.shape[1:]
    here, own = hidden[:, None], call.mask
    if own is None:
        rows = torch.arange(queries, device=here.device)[:, None] + (keys - queries)
        here = here | (torch.arange(keys, device=here.device)[None] > rows)
        own = torch.zeros(1, 1, 1, 1, dtype=call.query.dtype, device=here.device)
    own = own[..., :keys]
    if own.dtype == torch.bool:
        return own & ~here
    return own.masked_fill(here, torch.finfo(own.dtype).min)
