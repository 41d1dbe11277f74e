"""How much of a text a model says by heart, from one pass that is always told the true tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float

from hooks.unlearning.texts import Text, target_logits

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


@torch.no_grad()
def first_choices(
    model: InstrumentedModel, texts: Sequence[Text], batch: int = 32
) -> list[Bool[np.ndarray, " target"]]:
    """For every predicted token of each text whether it is the model's first choice."""
    found: list[Bool[np.ndarray, " target"]] = [np.zeros(0, bool)] * len(texts)
    for chosen in model.batch_indices([len(t.ids) for t in texts], batch):
        reads = target_logits(model, [texts[i] for i in chosen])
        for i, (logits, wanted) in zip(chosen, reads, strict=True):
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
    """1 - k/T of T predicted tokens, with k the fewest that must be given so that all others are
    first choice (Carlini et al. 2021, 2012.07805, as OpenUnlearning counts it). 0 where the last
    token is missed; OpenUnlearning's code gives 1/T there.
    """
    return np.array([_strength(hits) for hits in first_choices(model, texts)], float)


def _strength(hits: Bool[np.ndarray, " target"]) -> float:
    missed = np.flatnonzero(~hits)
    return 1.0 - (missed[-1] + 1 if len(missed) else 0) / len(hits)
