"""Features of the model's autoencoders that are active again at the prompt's last token, and what
the answer loses without them there (Marks et al. 2024 for the guess).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

import workbench as wb
from analyses.prompt.provenance.constants import (
    DRAWN,
    GUESSED,
    RANDOM_FEATURES,
    TRIED_FEATURES,
)
from analyses.prompt.provenance.end_reading import EndReading
from analyses.prompt.provenance.prompt_parts import PromptParts
from hooks.features.attribute import first_order, vectors_at
from hooks.features.sae import SKIP
from hooks.gradients.activations import activation_gradients
from hooks.logit_attribution import unembed_direction
from hooks.metrics.reads import LogProb
from hooks.weights import dtype_of
from workbench import autoencoders
from workbench.wording import quoted

if TYPE_CHECKING:
    import pandas as pd

    from hooks.features.sae import SAE
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_PROMOTED = 3  # tokens


def autoencoders_of(model: InstrumentedModel) -> list[str]:
    """Names of those that ship for these weights."""
    return [
        name
        for name, each in autoencoders.shipped().items()
        if each.card.get("weight_hash") == model.card.weight_hash
    ]


def feature_table(
    model: InstrumentedModel,
    asked: PromptParts,
    answer: Sequence[int],
    seed: int,
    progress: Progress,
) -> pd.DataFrame:
    """A row for each feature that is active at the prompt's last token, of every autoencoder.

    `guess` is the gradient of the log-probability of the answer's first token along the feature,
    times its activation. `effect` is what the whole answer's log-probability changes by where the
    feature is taken out at the last token and the answer: of those that the guess says to push the
    answer most, and of as many drawn from the others (`why`); NaN of the rest.
    """
    import pandas as pd

    reading = EndReading.of(model, asked.ids)
    whole, draw = reading.logp(answer), random.Random(seed)
    names = autoencoders_of(model)
    tables = []
    for n, name in enumerate(names):
        progress(n / len(names), f"Features of {name}")
        features = wb.open_features(name, model)
        table = _active(features, asked, answer)
        best = table.nlargest(TRIED_FEATURES, "guess").query("guess > 0").index
        others = table.index.difference(best)
        lots = draw.sample(list(others), min(RANDOM_FEATURES, len(others)))
        for why, rows in ((GUESSED, best), (DRAWN, lots)):
            for row in rows:
                with features.ablate([int(table.loc[row, "feature"])]):
                    table.loc[row, "effect"] = reading.logp(answer) - whole
                table.loc[row, ["why", "promotes"]] = (
                    why,
                    _promotes(features, int(table.loc[row, "feature"])),
                )
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _promotes(features: SAE, feature: int) -> str:
    """The tokens whose logits the feature's direction raises most, the final norm's scale set
    aside; "" where more than a norm and a matrix lie between.
    """
    model = features.model
    norm = model.layout.ln_final
    if not features.place.site.short.startswith("resid") or norm is None or norm.centred is None:
        return ""
    rows = features.directions[[feature]].to(model.device, dtype_of(model.layout.embed))
    best = unembed_direction(model, rows)[0].topk(_PROMOTED).indices
    return " ".join(quoted(word) for word in model.token_strings(best.tolist()))


def _active(features: SAE, asked: PromptParts, answer: Sequence[int]) -> pd.DataFrame:
    """The features that are active at the last token, with where they were active before."""
    import pandas as pd

    model, site = features.model, features.place.name
    metric = LogProb().of([answer[0]])
    x = vectors_at(features, wb.capture(model, [asked.ids], sites=site), 0)
    slope = vectors_at(features, activation_gradients(model, [asked.ids], metric, sites=site), 0)
    found = features.encode(x)
    guess = first_order(features, x, slope, found)[-1]
    context = [pos for start, stop in asked.context for pos in range(max(start, SKIP), stop)]
    before = found[context].amax(0) if context else torch.zeros(features.width)
    which = found[-1].nonzero()[:, 0].tolist()
    return pd.DataFrame({
        "autoencoder": features.name,
        "feature": which,
        "activation": found[-1, which].tolist(),
        "before": before[which].tolist(),
        "again": [bool(before[f] > 0) for f in which],
        "guess": guess[which].tolist(),
        "effect": float("nan"),
        "why": "",
        "promotes": "",
    })  # fmt: skip
