"""What earlier steps tell of what the last one recites; and access along training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.measures.exposure_access import access_along
from analyses.measures.exposure_forecast import (
    compressibility,
    forecast,
    nesting_violations,
    ranking,
)
from analyses.measures.exposure_series import own_series
from analyses.measures.statistics import mean_interval
from analyses.training.retention.constants import CONTEXTS, FORECAST
from analyses.training.retention.step_tables import enough_of, half_of

if TYPE_CHECKING:
    from analyses.measures.exposure_panel import ExposurePanel
    from analyses.training.retention.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

_RECITED = 100
"""Texts whose access is measured, and as many that were never read, at most."""


def forecast_length(panel: ExposurePanel) -> int:
    """Tokens given, and tokens that are to follow."""
    return min(FORECAST, panel.length // 2)


def add_forecast(result: Result, panel: ExposurePanel) -> None:
    """`forecast`, `rankings` and, where texts are long enough, `nesting`."""
    tokens, read = forecast_length(panel), panel.repeats > 0
    match = panel.match(tokens, tokens)[read]
    loss = panel.loss(tokens)[read]
    true = match[:, -1] == tokens
    texts = [entry.text for entry, r in zip(panel.entries, read, strict=True) if r]
    fixed = {"read in all": panel.repeats[read], "zlib": compressibility(texts)}
    rows, ranks = [], []
    for at, step in enumerate(panel.steps[:-1]):
        found = forecast(match[:, at] == tokens, true)
        rows.append(
            {
                "step": int(step),
                "share": step / panel.steps[-1],
                "precision": found.precision,
                "precision_low": found.precision_interval[0],
                "precision_high": found.precision_interval[1],
                "recall": found.recall,
                "recall_low": found.recall_interval[0],
                "recall_high": found.recall_interval[1],
                "forecast": found.said,
                "recited": found.true,
                "both": found.both,
            }
        )
        scores = {
            "recited": match[:, at],
            "loss": -loss[:, at],
            "read so far": panel.readings[read][:, at],
            **fixed,
        }
        for name, score in scores.items():
            value, low, high = ranking(np.asarray(score, float), true)
            ranks.append((int(step), name, value, low, high))
    result.tables["forecast"] = pd.DataFrame(rows)
    ranked = pd.DataFrame(ranks, columns=["step", "score", "auc", "low", "high"])
    result.tables["rankings"] = ranked.dropna(subset=["auc"])
    contexts = [k for k in CONTEXTS if k + tokens <= panel.length]
    if len(contexts) > 1:
        last = {k: panel.match(k, tokens)[read][:, -1] == tokens for k in contexts}
        falls, total = nesting_violations(last)
        rates = [(k, float(each.mean()), int(each.sum()), falls, total) for k, each in last.items()]
        columns = ["context", "rate", "recited", "violations", "texts"]
        result.tables["nesting"] = pd.DataFrame(rates, columns=columns)


def add_access(
    result: Result,
    model: InstrumentedModel,
    panel: ExposurePanel,
    params: Params,
    progress: Progress,
) -> None:
    """`access`: texts that were recalled at some step, begun at their beginning and in the middle;
    beside texts that were never read. No table where no text ever was.
    """
    best = panel.match(half_of(panel)).max(1)
    read = np.flatnonzero((panel.repeats > 0) & (best >= enough_of(panel, params)))
    if not len(read):
        return
    rng = np.random.default_rng(params.seed)
    read = np.sort(rng.permutation(read)[:_RECITED])
    never = np.flatnonzero(panel.repeats == 0)
    never = np.sort(rng.permutation(never)[: min(len(read), _RECITED)])
    series = own_series(model)
    assert series is not None
    tokens = min(params.recalled, panel.length // 4)
    chosen = np.concatenate([read, never])
    found = access_along(model, series, [panel.entries[n] for n in chosen], tokens, progress)
    rows = []
    for (start, given), said in found.items():
        for at, step in enumerate(panel.steps):
            mean, (low, high) = mean_interval(said[: len(read), at].astype(float))
            twins = float(said[len(read) :, at].mean())
            whole = float((said[: len(read), at] == tokens).mean())
            rows.append((int(step), start, given, mean, low, high, whole, twins, tokens, len(read)))
    columns = ["step", "start", "given", "said", "low", "high", "whole", "never_read", "asked",
               "n"]  # fmt: skip
    result.tables["access"] = pd.DataFrame(rows, columns=columns)
