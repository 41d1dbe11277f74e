"""Reads: metrics that still lack the tokens they watch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hooks.metrics.protocol import Metric, OfNextToken, Read, as_metric, checked, wide
from workbench.errors import BadInput, NotFound

NormScale = Literal["recomputed", "frozen"]
ReadName = Literal["logit", "logit_diff", "logprob", "prob", "kl", "continuation"]


@dataclass(frozen=True)
class Normed(Read):
    """A read for which the final norm may be frozen.

    Args:
        norm: whether the final norm's scale is that of the changed stream ("recomputed", the true
            effect) or of the unchanged one ("frozen": linear, additive over parts).
    """

    norm: NormScale = field(default="recomputed", kw_only=True)

    def __post_init__(self) -> None:
        if self.norm not in get_args(NormScale):
            raise NotFound.named("final norm", str(self.norm), get_args(NormScale))


@dataclass(frozen=True)
class NextToken(Normed):
    """A read of the logits after a prompt."""

    targets_only: ClassVar[bool] = False
    """Whether the logits of the targets are all it takes."""

    def of_targets(self, logits: Float[Tensor, "row target"]) -> Float[Tensor, "row value"]:
        """From the targets' logits, (row, target), to (row, value)."""
        raise NotImplementedError

    def of_logits(
        self,
        logits: Float[Tensor, "row d_vocab"],
        targets: Sequence[int],
        unchanged: Float[Tensor, "1 d_vocab"] | None = None,
    ) -> Float[Tensor, "row value"]:
        """From (row, d_vocab) logits to (row, value); `unchanged` are those before any change,
        (1, d_vocab).
        """
        return self.of_targets(logits[:, list(targets)])

    def of(self, targets: Sequence[int], unchanged: Tensor | None = None) -> Metric:
        """This as a metric: with the ids of the tokens that it watches, and for `KL` the logits
        that it compares with.

        Raises:
            BadInput: too few tokens.
        """
        self.check_targets(len(targets))

        def metric(
            logits: Float[Tensor, "batch pos d_vocab"],
            ids: Int[Tensor, "#batch pos"],
            mask: Int[Tensor, "#batch pos"],
        ) -> Tensor:
            values = self.of_logits(wide(logits[:, -1]), targets, unchanged)
            return values[:, 0] if values.shape[1] == 1 else values

        metric.reads = 1  # type: ignore[attr-defined]
        return metric


@dataclass(frozen=True)
class Logit(NextToken):
    """The logit of each target."""

    _name: ClassVar[str] = "logit"
    _unit: ClassVar[str] = "logits"
    per_target: ClassVar[bool] = True
    targets_only: ClassVar[bool] = True

    def of_targets(self, logits: Float[Tensor, "row target"]) -> Float[Tensor, "row target"]:
        return logits


@dataclass(frozen=True)
class LogitDiff(NextToken):
    """The first target's logit minus the mean of the others'."""

    _name: ClassVar[str] = "logit_diff"
    _unit: ClassVar[str] = "logits, first target minus the mean of the others"
    min_targets: ClassVar[int] = 2
    targets_only: ClassVar[bool] = True

    def of_targets(self, logits: Float[Tensor, "row target"]) -> Float[Tensor, "row 1"]:
        return logits[:, :1] - logits[:, 1:].mean(1, keepdim=True)


@dataclass(frozen=True)
class LogProb(NextToken):
    """The log-probability of each target, in nats."""

    _name: ClassVar[str] = "logprob"
    _unit: ClassVar[str] = "nats"
    per_target: ClassVar[bool] = True

    def of_logits(
        self,
        logits: Float[Tensor, "row d_vocab"],
        targets: Sequence[int],
        unchanged: Float[Tensor, "1 d_vocab"] | None = None,
    ) -> Float[Tensor, "row target"]:
        return logits.log_softmax(-1)[:, list(targets)]


@dataclass(frozen=True)
class Prob(NextToken):
    """The probability of each target."""

    _name: ClassVar[str] = "prob"
    _unit: ClassVar[str] = "probability"
    per_target: ClassVar[bool] = True

    def of_logits(
        self,
        logits: Float[Tensor, "row d_vocab"],
        targets: Sequence[int],
        unchanged: Float[Tensor, "1 d_vocab"] | None = None,
    ) -> Float[Tensor, "row target"]:
        return logits.softmax(-1)[:, list(targets)]


@dataclass(frozen=True)
class KL(NextToken):
    """The KL divergence of the changed from the unchanged distribution, in nats."""

    _name: ClassVar[str] = "kl"
    _unit: ClassVar[str] = "nats, KL(unchanged ‖ changed)"
    min_targets: ClassVar[int] = 0

    def of_logits(
        self,
        logits: Float[Tensor, "row d_vocab"],
        targets: Sequence[int],
        unchanged: Float[Tensor, "1 d_vocab"] | None = None,
    ) -> Float[Tensor, "row 1"]:
        if unchanged is None:
            raise BadInput(
                "The KL divergence compares with a distribution.",
                "its logits, (1, d_vocab)",
                "Give them: KL().of([], logits).",
            )
        before = unchanged.log_softmax(-1)
        # A token that is ruled out adds nothing; 0 times infinity is no number.
        return torch.where(
            before.isneginf(), 0.0, before.exp() * (before - logits.log_softmax(-1))
        ).sum(-1, keepdim=True)


@dataclass(frozen=True)
class Continuation(Read):
    """How a text fares that follows the prompt: the targets are that text from its first token to
    its last. It is fed in after the prompt and read at each token.

    Gives two numbers, `VALUES`: "match", how many of its leading tokens greedy decoding generates,
    and "loss", its mean loss in nats per token.
    """

    _name: ClassVar[str] = "continuation"
    _unit: ClassVar[str] = "leading tokens said; nats per token"
    VALUES: ClassVar[tuple[str, str]] = ("match", "loss")

    def alone(self) -> Metric:
        raise BadInput(
            "A continuation is read by a sweep alone: nothing differentiates a count of tokens.",
            "a metric, which gives one number per prompt",
            "Use continuation_loss(n) for the loss of a prompt's last n tokens.",
        )

    @staticmethod
    def of_tokens(
        logits: Float[Tensor, "token d_vocab"], ids: Int[Tensor, " token"]
    ) -> tuple[Bool[Tensor, " token"], Float[Tensor, " token"]]:
        """Per token whether it is the most likely one, and its loss; of (token, d_vocab) logits
        before each.
        """
        nats = logits.logsumexp(-1) - logits.gather(-1, ids[:, None])[:, 0]
        return logits.argmax(-1) == ids, nats


@dataclass(frozen=True)
class Custom(Normed):
    """A metric of your own, in its long or its short form.

    A sweep gives it float32 logits of one prompt, a row for each change.

    Raises:
        BadInput: the function takes neither logits, nor logits, ids and mask.
    """

    function: Metric | OfNextToken
    min_targets: ClassVar[int] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        as_metric(self.function)

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", "own")

    @property
    def unit(self) -> str:
        return self.name

    @property
    def reads(self) -> int | None:
        """How many of the last positions it reads; None is all."""
        return getattr(as_metric(self.function), "reads", None)

    def of_rows(
        self, logits: Float[Tensor, "row pos d_vocab"], ids: Sequence[int]
    ) -> Float[Tensor, "row 1"]:
        """From (row, pos, d_vocab) logits of one prompt's last positions, which hold `ids`, to
        (row, 1).
        """
        rows = torch.tensor([list(ids)], device=logits.device).expand(len(logits), -1)
        values = as_metric(self.function)(logits, rows, torch.ones_like(rows))
        return checked(values, len(logits), self.name)[:, None]

    def alone(self) -> Metric:
        return as_metric(self.function)


READS: dict[str, type[Read]] = {
    "logit": Logit,
    "logit_diff": LogitDiff,
    "logprob": LogProb,
    "prob": Prob,
    "kl": KL,
    "continuation": Continuation,
}


def as_read(given: Read | ReadName | Metric | OfNextToken) -> Read:
    """A read, by its short name, or around a metric.

    Raises:
        NotFound: an unknown name.
        BadInput: something that is no metric.
    """
    if isinstance(given, Read):
        return given
    if callable(given) and not isinstance(given, type):
        return Custom(given)
    if not isinstance(given, str) or given not in READS:
        raise NotFound.named(
            "metric", str(given), READS, "A function of (row, d_vocab) logits does too."
        )
    return READS[given]()
