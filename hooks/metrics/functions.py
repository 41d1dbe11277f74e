"""Metrics that come with the workbench."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hooks.metrics.protocol import Metric, wide
from hooks.metrics.reads import LogitDiff
from hooks.targets import distinct
from workbench.errors import BadInput

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


def loss(
    logits: Float[Tensor, "batch pos d_vocab"],
    ids: Int[Tensor, "batch pos"],
    mask: Int[Tensor, "batch pos"],
) -> Float[Tensor, " batch"]:
    """Mean cross-entropy of each prompt's tokens after its first, in nats per token, (batch,)."""
    logp = torch.log_softmax(wide(logits[:, :-1]), -1).gather(-1, ids[:, 1:, None])[..., 0]
    counted = (mask[:, :-1] * mask[:, 1:]).to(logp.dtype)
    return -(logp * counted).sum(1) / counted.sum(1).clamp(min=1)


loss.needs = 2  # type: ignore[attr-defined]


def continuation_loss(tokens: int) -> Metric:
    """Mean cross-entropy of each prompt's last `tokens` tokens, in nats per token: how unlike the
    model its suffix is.

    Raises:
        BadInput: no tokens.
    """
    if tokens < 1:
        raise BadInput(
            f"A continuation cannot have {tokens} tokens.",
            "1 or more",
            "Say how many tokens at the end count.",
        )

    def of_suffix(
        logits: Float[Tensor, "batch pos d_vocab"],
        ids: Int[Tensor, "batch pos"],
        mask: Int[Tensor, "batch pos"],
    ) -> Float[Tensor, " batch"]:
        logp = torch.log_softmax(wide(logits[:, -tokens - 1 : -1]), -1)
        return -logp.gather(-1, ids[:, -tokens:, None])[..., 0].mean(1)

    of_suffix.needs = of_suffix.reads = tokens + 1  # type: ignore[attr-defined]
    return of_suffix


def logit_difference(model: InstrumentedModel, first: str | int, second: str | int) -> Metric:
    """Logit of `first` minus logit of `second` as the token after each prompt.

    Args:
        first, second: a token id, or text that is one token when it continues a prompt (mind the
            space in front).

    Raises:
        BadInput: a text is not one token, or both are the same.
    """
    tokens = [_token(model, first), _token(model, second)]
    distinct(model, tokens, [first, second])
    return LogitDiff().of(tokens)


def _token(model: InstrumentedModel, token: str | int) -> int:
    if isinstance(token, int):
        return token
    ids = model.continuation_tokens(token)
    if len(ids) != 1:
        raise BadInput(
            f"{token!r} is {len(ids)} tokens.", "one token", "Give the id of the token that counts."
        )
    return ids[0]
