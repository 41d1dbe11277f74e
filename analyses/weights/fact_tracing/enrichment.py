"""Attribute enrichment: what of a subject can be read from its last token, by layer (Geva et al.
2023).

The paper takes the words of retrieved paragraphs as a subject's attributes. Here they are what the
built-in relations say of it (its capital, language, currency, continent …), so there are few, and
the rate is the share of them among the likeliest tokens.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

import workbench as wb
from analyses.measures.statistics import share_interval
from analyses.weights.fact_tracing.constants import TOP
from analyses.weights.fact_tracing.extraction import read_as_tokens
from workbench import facts as known_facts

if TYPE_CHECKING:
    import pandas as pd

    from analyses.weights.fact_tracing.traced_facts import TracedFact
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


def attributes(model: InstrumentedModel, fact: TracedFact) -> list[int]:
    """First tokens of everything that is known to be true of a fact's subject."""
    words = [fact.answer] + [
        each.answer
        for relation in known_facts.relations().values()
        for each in relation.facts
        if each.subject == fact.subject
    ]
    return list(dict.fromkeys(model.continuation_tokens(" " + word)[0] for word in words))


def rates(
    model: InstrumentedModel,
    facts: Sequence[TracedFact],
    norm: str,
    seed: int,
    progress: Progress,
) -> pd.DataFrame:
    """A row for each layer: the mean share of a subject's attributes that are among the likeliest
    tokens of its last token's state behind the layer, beside the attributes of another subject and
    as many tokens drawn at random.
    """
    import numpy as np
    import pandas as pd

    rng = random.Random(seed)
    own = [attributes(model, fact) for fact in facts]
    drawn = [[rng.randrange(model.card.d_vocab) for _ in each] for each in own]
    other = [_of_another(n, own, rng) for n in range(len(own))]
    trace = wb.capture(model, [fact.ids for fact in facts], sites="resid_post", progress=progress)[
        "resid_post"
    ].transpose("prompt", "layer", "pos", "d_model")
    at = np.array([fact.subject_at[1] - 1 for fact in facts])
    values = torch.as_tensor(trace.values[np.arange(len(facts)), :, at])  # (fact, layer, d_model)
    shares = np.zeros((3, len(facts), values.shape[1]))
    for n in range(len(facts)):
        for rows, logits in read_as_tokens(model, values[n], norm):
            top = logits.topk(min(TOP, logits.shape[-1]), -1).indices
            for k, wanted in enumerate((own[n], other[n], drawn[n])):
                hits = (top[:, :, None] == torch.tensor(wanted)[None, None]).any(1)
                shares[k, n, rows] = hits.float().mean(-1).numpy()
    groups, made = np.arange(len(facts)), []
    for column, layer in enumerate(trace["layer"].values):
        rate, (low, high) = share_interval(shares[0, :, column], groups)
        made.append((
            int(layer), rate, low, high, *(float(shares[k, :, column].mean()) for k in (1, 2)),
            len(facts),
        ))  # fmt: skip
    columns = ["layer", "rate", "low", "high", "other", "random", "n"]
    return pd.DataFrame(made, columns=columns)


def _of_another(n: int, own: Sequence[list[int]], rng: random.Random) -> list[int]:
    """The attributes of another subject that are not this one's as well."""
    order = [k for k in range(len(own)) if k != n]
    rng.shuffle(order)
    for k in order:
        rest = [token for token in own[k] if token not in own[n]]
        if rest:
            return rest
    return [-1]
