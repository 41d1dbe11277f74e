"""How much of a text a model says by heart, from one pass that is always told the true tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hooks.eager_eval import steady
from hooks.unlearning.texts import Text, target_logits
from workbench.errors import BadInput

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

BATCH = 16
"""Texts of one pass."""


@torch.no_grad()
def scores(model: InstrumentedModel, texts: Sequence[Text], batch: int = BATCH) -> pd.DataFrame:
    """What is left of each text, one row each, from one pass.

    Columns: `text`, its place in the list; `nats` per predicted token; `exact_memorization`, the
    share of predicted tokens that are first choice; `extraction_strength`; `greedy_match`, tokens
    that greedy decoding says before its first mistake; `tokens`, how many are predicted.

    Raises:
        BadInput: no texts.
    """
    if not texts:
        raise BadInput("There is no text to score.", "one or more", "Give some.")
    rows: list[dict[str, float]] = [{}] * len(texts)
    for i, logits, wanted in reads(model, texts, batch):
        hits = (logits.argmax(-1) == wanted).cpu().numpy()
        rows[i] = {
            "text": i,
            "nats": float(torch.nn.functional.cross_entropy(logits, wanted)),
            "exact_memorization": float(hits.mean()),
            "extraction_strength": strength(hits),
            "greedy_match": int(hits.cumprod().sum()),
            "tokens": len(hits),
        }
    return pd.DataFrame(rows)


@torch.no_grad()
def reads(
    model: InstrumentedModel, texts: Sequence[Text], batch: int = BATCH
) -> Iterator[tuple[int, Float[Tensor, "target d_vocab"], Int[Tensor, " target"]]]:
    """(its place in the list, the logits of its predicted tokens, their ids) of each text."""
    with steady(model.module):
        for chosen in model.batch_indices([len(t.ids) for t in texts], batch):
            found = target_logits(model, [texts[i] for i in chosen])
            for i, (logits, wanted) in zip(chosen, found, strict=True):
                yield i, logits, wanted


def first_choices(
    model: InstrumentedModel, texts: Sequence[Text], batch: int = BATCH
) -> list[Bool[np.ndarray, " target"]]:
    """For every predicted token of each text whether it is the model's first choice."""
    found: list[Bool[np.ndarray, " target"]] = [np.zeros(0, bool)] * len(texts)
    for i, logits, wanted in reads(model, texts, batch):
        found[i] = (logits.argmax(-1) == wanted).cpu().numpy()
    return found


def exact_memorization(
    model: InstrumentedModel, texts: Sequence[Text]
) -> Float[np.ndarray, " text"]:
    """Share of the predicted tokens that are the model's first choice (Tirumala et al. 2022,
    2205.10770). A text never read has some as well: what the language alone makes likely.
    """
    return np.array([hits.mean() for hits in first_choices(model, texts)], float)


def extraction_strength(
    model: InstrumentedModel, texts: Sequence[Text]
) -> Float[np.ndarray, " text"]:
    """`strength` of each text."""
    return np.array([strength(hits) for hits in first_choices(model, texts)], float)


def strength(hits: Bool[np.ndarray, " target"]) -> float:
    """Extraction strength: 1 - k/T of T predicted tokens, with k the fewest that must be given so
    that all others are first choice (Carlini et al. 2021, 2012.07805, as OpenUnlearning counts it).
    0 where the last token is missed; OpenUnlearning's code gives 1/T there.
    """
    missed = np.flatnonzero(~hits)
    return 1.0 - (int(missed[-1]) + 1 if len(missed) else 0) / len(hits)


def behind(text: Text, given: int) -> Text:
    """The same text with so many of its predicted tokens given.

    Raises:
        BadInput: nothing is left to predict.
    """
    return Text(text.ids, text.first + given)
