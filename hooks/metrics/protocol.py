"""The one protocol of metrics, and what was given brought into its form."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbench.errors import BadInput


class Metric(Protocol):
    """One number per prompt: (logits (batch, pos, d_vocab), ids (batch, pos), mask (batch, pos)) ->
    (batch,).

    `mask` is 1 at real tokens; padding is on the left, so position -1 is every prompt's last token.
    A metric that needs prompts of more than one token says so in an attribute `needs`; one that
    reads only the last n positions may say so in an attribute `reads`, which spares a sweep the
    others.
    """

    def __call__(
        self,
        logits: Float[Tensor, "batch pos d_vocab"],
        ids: Int[Tensor, "batch pos"],
        mask: Int[Tensor, "batch pos"],
    ) -> Float[Tensor, " batch"]: ...


OfNextToken = Callable[["Tensor"], "Tensor"]
"""The short form of a metric: a function of the logits after each prompt, (batch, d_vocab) ->
(batch,).
"""


@dataclass(frozen=True)
class Read:
    """What a sweep reads off: a metric that still lacks the tokens it watches in each prompt."""

    _name: ClassVar[str] = ""
    _unit: ClassVar[str] = ""
    min_targets: ClassVar[int] = 1
    """How many tokens have to be watched per prompt."""
    per_target: ClassVar[bool] = False
    """Whether it gives a number for each of them."""

    @property
    def name(self) -> str:
        return self._name

    @property
    def unit(self) -> str:
        return self._unit

    def check_targets(self, count: int) -> None:
        """Raises BadInput where fewer tokens are watched than are needed."""
        if count < self.min_targets:
            raise BadInput(
                f"The metric {self.name!r} watches tokens, and {count} are given per prompt.",
                f"targets: at least {self.min_targets} each",
                "Name them.",
            )

    def alone(self) -> Metric:
        """This as a metric, if it needs no tokens. Raises BadInput otherwise."""
        raise BadInput(
            f"{self!r} does not know which tokens it watches.",
            "a metric, which gives one number per prompt",
            f"Give them: {type(self).__name__}(…).of([token]).",
        )


AnyMetric = Metric | OfNextToken | Read
Metrics = AnyMetric | Sequence[AnyMetric]
"""One for all prompts, or one each."""


def as_metric(given: Any) -> Metric:
    """A metric in its long form.

    Raises:
        BadInput: a read without its tokens, or a function that takes something else.
    """
    if isinstance(given, Read):
        return given.alone()
    try:
        needed = [
            p
            for p in inspect.signature(given).parameters.values()
            if p.kind is p.VAR_POSITIONAL
            or (p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))
        ]
    except (TypeError, ValueError):
        needed = []
    if len(needed) == 3 or any(p.kind is p.VAR_POSITIONAL for p in needed):
        return cast(Metric, given)
    if len(needed) == 1:
        return _after_prompt(given)
    raise BadInput(
        f"The metric {getattr(given, '__name__', given)!r} cannot be called with logits.",
        "a function of (row, d_vocab) logits, or of logits, ids and mask (see hooks.metrics)",
        "Wrap it in one.",
    )


def _after_prompt(function: OfNextToken) -> Metric:
    def metric(logits: Float[Tensor, "batch pos d_vocab"], ids: Tensor, mask: Tensor) -> Tensor:
        return function(wide(logits[:, -1]))

    metric.reads = 1  # type: ignore[attr-defined]
    return metric


def per_prompt(metric: Metrics, lengths: Sequence[int]) -> list[Metric]:
    """One metric for each prompt; `lengths` are the prompts' tokens.

    Raises:
        BadInput: a list of another length, or a prompt that is too short for its metric.
    """
    given = (
        list(metric)
        if isinstance(metric, Sequence) and not isinstance(metric, str)
        else [as_metric(metric)] * len(lengths)
    )
    if len(given) != len(lengths):
        raise BadInput(
            f"There are {len(given)} metrics for {len(lengths)} prompts.",
            "one for all, or one each",
            "Give as many.",
        )
    metrics = [as_metric(each) for each in given]
    for row, (each, length) in enumerate(zip(metrics, lengths, strict=True), start=1):
        needs = getattr(each, "needs", 1)
        if length < needs:
            raise BadInput(
                f"Prompt {row} has {length} {'token' if length == 1 else 'tokens'}, in which this"
                " metric has nothing to read.",
                f"at least {needs} tokens",
                "Give a longer text, or another metric.",
            )
    return metrics


def checked(values: Tensor, rows: int, name: str | None = None) -> Tensor:
    """A metric's answer, if it is one number per row.

    Raises:
        BadInput: it is something else.
    """
    if values.shape != (rows,):
        raise BadInput(
            f"The metric{f' {name!r}' if name else ''} gave a tensor of shape"
            f" {tuple(values.shape)}.",
            f"({rows},), one number per row (prompt)",
            "Mend it.",
        )
    return values


def wide(x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """At least float32: half precision has too few digits for sums and differences."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
