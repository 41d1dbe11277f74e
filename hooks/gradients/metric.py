"""What is differentiated: one number per prompt, computed from the logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch

from hooks.targets import distinct
from workbench.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel


class Metric(Protocol):
    """One number per prompt: (logits (batch, pos, d_vocab), ids (batch, pos), mask (batch, pos)) ->
    (batch,).

    `mask` is 1 at real tokens; padding is on the left, so position -1 is every prompt's last token.
    A metric that needs prompts of more than one token says so in an attribute `needs`.
    """

    def __call__(self, logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor: ...


def loss(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Mean cross-entropy of each prompt's tokens after its first, in nats per token, (batch,)."""
    said = torch.log_softmax(_wide(logits[:, :-1]), -1).gather(-1, ids[:, 1:, None])[..., 0]
    counted = (mask[:, :-1] * mask[:, 1:]).to(said.dtype)
    return -(said * counted).sum(1) / counted.sum(1).clamp(min=1)


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

    def of_suffix(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        said = torch.log_softmax(_wide(logits[:, -tokens - 1 : -1]), -1)
        return -said.gather(-1, ids[:, -tokens:, None])[..., 0].mean(1)

    of_suffix.needs = tokens + 1  # type: ignore[attr-defined]
    return of_suffix


def logit_difference(model: InstrumentedModel, first: str | int, second: str | int) -> Metric:
    """Logit of `first` minus logit of `second` as the token after each prompt.

    Args:
        first, second: a token id, or text that is one token when it continues a prompt (mind the
            space in front).

    Raises:
        BadInput: a text is not one token, or both are the same.
    """
    one, other = _token(model, first), _token(model, second)
    distinct(model, [one, other], [first, second])

    def difference(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        return _wide(logits[:, -1, one]) - _wide(logits[:, -1, other])

    return difference


def _wide(x: Tensor) -> Tensor:
    """At least float32: half precision has too few digits for sums and differences."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _token(model: InstrumentedModel, token: str | int) -> int:
    if isinstance(token, int):
        return token
    ids = model.continuation_tokens(token)
    if len(ids) != 1:
        raise BadInput(
            f"{token!r} is {len(ids)} tokens.", "one token", "Give the id of the token that counts."
        )
    return ids[0]


def per_prompt(metric: Metric | Sequence[Metric], lengths: Sequence[int]) -> list[Metric]:
    """One metric for each prompt; `lengths` are the prompts' tokens.

    Raises:
        BadInput: a list of another length, or a prompt that is too short for its metric.
    """
    given = [metric] * len(lengths) if callable(metric) else list(metric)
    if len(given) != len(lengths):
        raise BadInput(
            f"There are {len(given)} metrics for {len(lengths)} prompts.",
            "one for all, or one each",
            "Give as many.",
        )
    for row, (each, length) in enumerate(zip(given, lengths, strict=True), start=1):
        needs = getattr(each, "needs", 1)
        if length < needs:
            raise BadInput(
                f"Prompt {row} has {length} {'token' if length == 1 else 'tokens'}, in which this"
                " metric has nothing to read.",
                f"at least {needs} tokens",
                "Give a longer text, or another metric.",
            )
    return given


def checked(value: Tensor, batch: int) -> Tensor:
    """A metric's answer, if it is one number per prompt.

    Raises:
        BadInput: it is something else.
    """
    if value.shape != (batch,):
        raise BadInput(
            f"The metric gave a tensor of shape {tuple(value.shape)}.",
            f"({batch},), one number per prompt",
            "Mend it.",
        )
    return value
