"""Asking again and again: what greedy decoding does not say, a sampler may.

Source: Hayes et al. 2024 (2410.19482), (n, p)-discoverable extraction. p_z is the probability that
one sample is the rest of the text word for word; half of all attempts of `queries` samples contain
it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from analyses.measures.sampler import Sampler
from analyses.measures.sampling import log_q, queries_needed, rounded_queries
from analyses.weights.unlearning_audit.memorized import BATCH, behind, reads
from hooks.unlearning.texts import Text

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


def sampled(
    model: InstrumentedModel,
    texts: Sequence[Text],
    given: int,
    sampler: Sampler,
    batch: int = BATCH,
) -> pd.DataFrame:
    """How probably a sampler says the rest of each text behind its first tokens, in closed form
    from one pass.

    Args:
        given: predicted tokens of each text that the prompt holds.

    Returns:
        A row per text: `text`, `tokens` (of the rest), `log_p` (ln p_z, -inf where the sampler
        never says it), `queries` (samples of which one is the rest with probability one half, a
        whole number or inf), `greedy` (whether greedy decoding says it).

    Raises:
        BadInput: nothing is left of a text.
    """
    rest = [behind(text, given) for text in texts]
    rows: list[dict[str, float | bool]] = [{}] * len(rest)
    for i, logits, wanted in reads(model, rest, batch):
        log_p = float(log_q(logits, wanted, sampler).double().sum())
        rows[i] = {
            "text": i,
            "tokens": len(wanted),
            "log_p": log_p,
            "queries": _queries(log_p),
            "greedy": bool((logits.argmax(-1) == wanted).all()),
        }
    return pd.DataFrame(rows, columns=["text", "tokens", "log_p", "queries", "greedy"])


def _queries(log_p: float) -> float:
    return math.inf if log_p == -math.inf else rounded_queries(queries_needed(log_p, 0.5))
