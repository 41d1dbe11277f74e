"""The path between base and fine-tuned weights, and how alike the states of each layer are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

import workbench as wb
from analyses.measures.forgetting_answers import AskedFact
from analyses.measures.forgetting_cka import linear_cka
from analyses.training.forgetting import constants as c
from analyses.training.forgetting.yardstick import MixtureYardstick
from hooks.mixed_weights import WeightPair, replaced

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


def path(
    model: InstrumentedModel, pair: WeightPair, yardstick: MixtureYardstick, progress: Progress
) -> pd.DataFrame:
    """A row per share of the update: `share`, `kl`, `neutral`, `task` (nats), `log_p`, `right`."""
    import pandas as pd

    rows = []
    for n, share in enumerate(c.PATH):
        progress(n / len(c.PATH), f"{share:.0%} of the update")
        with replaced(model, pair.between(share)):
            found = yardstick.measure(model)
        rows.append((share, found.kl, found.neutral, found.task, found.log_p, found.right))
    return pd.DataFrame(rows, columns=["share", "kl", "neutral", "task", "log_p", "right"])


def barrier(shares: np.ndarray, losses: np.ndarray) -> tuple[float, float]:
    """(barrier, share where it is): the largest loss between 0 and 1 above the straight line
    between the two ends.
    """
    inside = (shares >= 0) & (shares <= 1)
    x, y = shares[inside], losses[inside]
    order = np.argsort(x)
    x, y = x[order], y[order]
    above = y - (y[0] + (y[-1] - y[0]) * x)
    at = int(above.argmax())
    return float(above[at]), float(x[at])


def likeness(
    model: InstrumentedModel,
    pair: WeightPair,
    rows: Sequence[Sequence[int]],
    facts: Sequence[AskedFact],
    first: int,
    progress: Progress,
) -> pd.DataFrame:
    """A row per layer and kind of token: `layer`, `tokens` (neutral text, or prompts of old facts),
    `cka` of base and fine-tuned states, `n`.
    """
    import pandas as pd

    prompts = {c.NEUTRAL: list(map(list, rows)), "old facts": [fact.ids for fact in facts]}
    found = []
    for n, (name, ids) in enumerate(prompts.items()):
        progress(n / len(prompts), f"States of {name} before and after")
        before = _states(model, ids, first)
        with replaced(model, pair.tuned):
            after = _states(model, ids, first)
        found += [
            (layer, name, linear_cka(x, y), len(x))
            for layer, (x, y) in enumerate(zip(before, after, strict=True))
        ]
    return pd.DataFrame(found, columns=["layer", "tokens", "cka", "n"])


def _states(
    model: InstrumentedModel, ids: Sequence[Sequence[int]], first: int
) -> Sequence[np.ndarray]:
    """Of each layer, the states of all tokens but those before `first`: (token, d_model)."""
    trace = wb.capture(model, [list(row) for row in ids], sites="resid_post")
    values = trace["resid_post"].transpose("layer", "prompt", "pos", "d_model")
    kept = [values.isel(prompt=n).values[:, first : len(row)] for n, row in enumerate(ids)]
    joined = np.concatenate(kept, axis=1)
    return [np.asarray(layer, float) for layer in joined]
