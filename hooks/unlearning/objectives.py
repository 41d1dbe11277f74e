"""What a step of each method minimises, text by text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hooks.unlearning import losses
from hooks.unlearning.texts import Text, target_logits

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from hooks.unlearning.original_model import OriginalModel


@dataclass(frozen=True)
class LossTerm:
    """Of one text.

    Attributes:
        loss: what is minimised, with gradients.
        nats: of the text now, by token.
        divergence: KL from the original by token, where it is part of the loss; else nan.
    """

    loss: Float[Tensor, ""]
    nats: float
    divergence: float = float("nan")


class Objective(Protocol):
    """What is minimised: the mean of `forget` over texts, and `weight` times that of `retain`.
    Texts fit into one batch.

    Attributes:
        weight: of the retain term; 0 where the method has none, and `retain` only looks.
        notes: what is to be known of it, in sentences.
    """

    weight: float
    notes: tuple[str, ...]

    def forget(self, texts: Sequence[Text]) -> Iterator[LossTerm]: ...

    def retain(self, texts: Sequence[Text]) -> Iterator[LossTerm]: ...


@dataclass(frozen=True)
class ReadText:
    """A text as the model sees it now: logits of its predicted tokens, their ids and ln p."""

    text: Text
    logits: Float[Tensor, "target d_vocab"]
    wanted: Int[Tensor, " target"]
    log_p: Float[Tensor, " target"]

    def term(self, loss: Tensor, divergence: float = float("nan")) -> LossTerm:
        return LossTerm(loss, -float(self.log_p.detach().mean()), divergence)


def read(model: InstrumentedModel, texts: Sequence[Text]) -> Iterator[ReadText]:
    """Each text from one pass, with gradients where they are on."""
    for text, (logits, wanted) in zip(texts, target_logits(model, texts), strict=True):
        log_p = logits.log_softmax(-1).gather(1, wanted[:, None])[:, 0]
        yield ReadText(text, logits, wanted, log_p)


ForgetLoss = Callable[[ReadText, Tensor], Tensor]
"""Of a text and of what the original said about it."""
Before = Literal["nothing", "log_p", "logits"]
Retain = Literal["nll", "nll by token", "kl"]


@dataclass
class TextLosses:
    """A forget loss of the model's output, with one of the usual retain terms.

    Attributes:
        forget_loss: of one text.
        before: what it needs of the original.
        kept_by: the retain term: the negative log-probability of a text ("nll"), its mean over
            tokens, or the divergence from the original, summed over tokens ("kl").
    """

    original: OriginalModel
    forget_loss: ForgetLoss
    before: Before
    kept_by: Retain
    weight: float
    notes: tuple[str, ...] = ()

    def forget(self, texts: Sequence[Text]) -> Iterator[LossTerm]:
        # Read first: the original's weights must not come back while a graph of the new is there.
        before = [torch.empty(0)] * len(texts)
        if self.before != "nothing":
            before = getattr(self.original, self.before)(texts)
        for each, old in zip(read(self.original.model, texts), before, strict=True):
            yield each.term(self.forget_loss(each, old))

    def retain(self, texts: Sequence[Text]) -> Iterator[LossTerm]:
        before = self.original.logits(texts) if self.kept_by == "kl" else []
        for n, each in enumerate(read(self.original.model, texts)):
            if self.kept_by == "kl":
                loss = losses.divergence(before[n], each.logits)
                yield each.term(loss, float(loss.detach()) / len(each.wanted))
            elif self.kept_by == "nll":
                yield each.term(losses.likelihood(each.log_p))
            else:
                yield each.term(-each.log_p.mean())


def ascent(text: ReadText, _: Tensor) -> Tensor:
    return losses.ascent(text.log_p)


def descent(text: ReadText, _: Tensor) -> Tensor:
    """What a task vector is trained by."""
    return losses.likelihood(text.log_p)


def preference(beta: float) -> ForgetLoss:
    return lambda text, before: losses.preference(text.log_p, before, beta)


def simple_preference(beta: float) -> ForgetLoss:
    return lambda text, _: losses.simple_preference(text.log_p, beta, 0.0)


def self_distillation(beta: float) -> ForgetLoss:
    return lambda text, before: losses.self_distillation(before, text.logits, text.wanted, beta)


def random_labels(forget: Sequence[Text], seed: int) -> ForgetLoss:
    """Cross-entropy to tokens that are drawn anew each time from all that is to be forgotten: the
    labels of the task, but none that belongs to its place. (A training that goes on after a stop
    draws others than it would have.)
    """
    labels = torch.tensor([token for text in forget for token in text.targets])
    draw = torch.Generator().manual_seed(seed)

    def loss(text: ReadText, _: Tensor) -> Tensor:
        drawn = labels[torch.randint(len(labels), (len(text.wanted),), generator=draw)]
        return losses.cross_entropy(text.logits, drawn.to(text.logits.device))

    return loss
