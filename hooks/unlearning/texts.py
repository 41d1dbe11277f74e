"""Texts whose tokens are to become unlikely, or to stay as likely as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hooks.module_call import call
from workbench.errors import BadInput

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


@dataclass(frozen=True)
class Text:
    """Token ids, beginning tokens included, of which those from `first` on are predicted.

    Raises:
        BadInput: nothing stands before the first predicted token, or nothing is predicted.
    """

    ids: tuple[int, ...]
    first: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.first < len(self.ids):
            raise BadInput(
                f"Of a text of {len(self.ids)} tokens none can be predicted from the"
                f" {self.first}. on.",
                "at least one token, and something before it",
                "Give a longer text.",
            )

    @property
    def targets(self) -> tuple[int, ...]:
        """The predicted tokens."""
        return self.ids[self.first :]

    @classmethod
    def of(cls, model: InstrumentedModel, text: str) -> Text:
        """A text as the model reads it, every token predicted that has one before it."""
        ids = tuple(model.tokens(text))
        begin = len(ids) - len(model.text.encode(text))
        return cls(ids, max(1, begin))


def target_logits(
    model: InstrumentedModel, texts: Sequence[Text]
) -> Iterator[tuple[Float[Tensor, "target d_vocab"], Int[Tensor, " target"]]]:
    """For each text the logits of its predicted tokens and their ids, from one pass; with gradients
    where they are on. The texts must fit into one batch (`model.batch_indices`).
    """
    batch = model.batch([list(t.ids) for t in texts])
    most = max(len(t.targets) for t in texts) + 1
    logits = call(model.module, **batch.kwargs(), use_cache=False, logits_to_keep=most).logits
    for own, text in zip(logits.float(), texts, strict=True):
        wanted = torch.tensor(text.targets, device=logits.device)
        yield own[-len(wanted) - 1 : -1], wanted


def target_log_p(model: InstrumentedModel, texts: Sequence[Text]) -> list[Float[Tensor, " target"]]:
    """ln p of every predicted token, by text, from one pass; with gradients where they are on."""
    return [
        logits.log_softmax(-1).gather(1, wanted[:, None])[:, 0]
        for logits, wanted in target_logits(model, texts)
    ]


def nats(model: InstrumentedModel, texts: Sequence[Text]) -> Float[Tensor, " text"]:
    """Mean nats per predicted token of each text, with gradients where they are on. The texts must
    fit into one batch.
    """
    return torch.stack([-each.mean() for each in target_log_p(model, texts)])


@torch.no_grad()
def nats_of_all(
    model: InstrumentedModel, texts: Sequence[Text], batch: int = 32
) -> Float[Tensor, " text"]:
    """The same for any number of texts, without gradients; on the CPU."""
    found = torch.zeros(len(texts))
    for chosen in model.batch_indices([len(t.ids) for t in texts], batch):
        found[chosen] = nats(model, [texts[i] for i in chosen]).cpu()
    return found
