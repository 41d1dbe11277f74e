"""Attention from the last token, blocked by span and window of layers (Geva et al. 2023)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.statistics import mean_interval
from analyses.weights.fact_tracing.constants import RANDOM, SPANS

if TYPE_CHECKING:
    import pandas as pd

    from analyses.weights.fact_tracing.traced_facts import TracedFact
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


def spans_of(fact: TracedFact, rng: random.Random) -> dict[str, list[int]]:
    """Positions by span.

    The first token is a span of its own: many heads look at it whatever it is, so blocking it says
    nothing of the fact. Where the subject begins the prompt it belongs to the subject.
    """
    last, (start, end) = len(fact.ids) - 1, fact.subject_at
    subject = list(range(start, end))
    relation = [pos for pos in range(1, last) if pos not in subject]
    return {
        "subject": subject,
        "subject's last": [end - 1],
        "relation": relation,
        "itself": [last],
        "first token": [] if start == 0 else [0],
        RANDOM: sorted(rng.sample(relation, min(len(subject), len(relation)))),
    }


def block(
    model: InstrumentedModel,
    facts: Sequence[TracedFact],
    window: int,
    seed: int,
    progress: Progress,
) -> tuple[np.ndarray, list[int]]:
    """Relative change of the answer's probability, (fact, span, layer), NaN where a fact has no
    such tokens; and the layers that windows stand around.
    """
    from hooks.sweeps.knockout import knock_out

    rng = random.Random(seed)
    spans = [spans_of(fact, rng) for fact in facts]
    found = knock_out(
        model,
        [fact.ids for fact in facts],
        [fact.target for fact in facts],
        spans,
        window=window or max(1, round(model.n_layers / 5)),
        progress=progress,
    )
    before = found.before.numpy()[:, None, None]
    change = (found.after.numpy() - before) / before
    for n, named in enumerate(spans):
        for s, name in enumerate(SPANS):
            if not named[name]:
                change[n, s] = np.nan
    return change, found.layers


def span_table(change: np.ndarray, layers: Sequence[int]) -> pd.DataFrame:
    """A row for each span and layer: the mean relative change with its interval over facts."""
    import pandas as pd

    rows = []
    for s, name in enumerate(SPANS):
        has = ~np.isnan(change[:, s, 0])
        for column, layer in enumerate(layers if has.any() else ()):
            mean, (low, high) = mean_interval(change[has, s, column])
            rows.append((name, layer, mean, low, high, int(has.sum())))
    return pd.DataFrame(rows, columns=["span", "layer", "change", "low", "high", "n"])


def centre_of(change: np.ndarray, layers: Sequence[int]) -> np.ndarray:
    """At which layer blocking hurts, as the centre of what is lost, (fact,); NaN where nothing
    is.
    """
    lost = np.clip(-change, 0, None)
    whole = lost.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = np.where(whole > 0.05, lost @ np.array(layers, float) / whole, np.nan)
    return found
