"""A crowded row with a few of its pairs kept exactly: chosen by the state's error, at random, or
the latest ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.pair_questions import is_trained_on_pairs
from analyses.measures.statistics import auc, mean_interval, share_interval
from analyses.state.recall_capacity import eidetic
from workbench.result import Finding, Result
from workbench.wording import percent

if TYPE_CHECKING:
    from analyses.state.recall_capacity.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

PAIRS = 32
KEPT = (0, 2, 4, 8, 16)
AT = 8
"""Pairs kept that the finding is about."""
ROWS = 96
"""Of those that measure; half as many choose where the error is read."""


def unavailable_reason(model: InstrumentedModel) -> str | None:
    """Why no pair's error can be read, or None."""
    if not is_trained_on_pairs(model):
        return "it was not trained on rows of pairs, where tokens of a pair are known."
    if not _layers(model):
        return "what the kernels of its layers are given cannot be read."
    return None


def _layers(model: InstrumentedModel) -> list[int]:
    blocks = model.layout.blocks
    return [n for n, block in enumerate(blocks) if "state_q" in block.parallel_states]


def measure(result: Result, model: InstrumentedModel, params: Params, progress: Progress) -> None:
    """Table `kept_pairs` and its finding."""
    import pandas as pd

    layers = _layers(model)
    progress(0.0, "Rows that choose where the error is read")
    choosing = eidetic.read_rows(model, layers, PAIRS, ROWS // 2, params.seed + 1)
    progress(0.4, "Rows that measure")
    held = eidetic.read_rows(model, layers, PAIRS, ROWS, params.seed + 2)
    rng = np.random.default_rng(params.seed)
    rows, shares = [], {}
    for way in eidetic.WAYS:
        at = eidetic.chosen(choosing.errors[way], choosing.right) if way in held.errors else 0
        tells = np.nan
        if way in held.errors:
            error = held.errors[way][at]
            tells = auc(error[~held.right], error[held.right])[0]
        for kept in KEPT:
            each = shares[way, kept] = eidetic.recall_with(held, way, at, kept, rng)
            mean, (low, high) = share_interval(each, np.arange(len(each)))
            rows.append(
                {
                    "way": way, "kept": kept, "recall": mean, "low": low, "high": high,
                    "tells": tells, "rows": ROWS,
                }
            )  # fmt: skip
    result.tables["kept_pairs"] = pd.DataFrame(rows)
    gain, (low, high) = mean_interval(shares[eidetic.BEHIND, AT] - shares[eidetic.RANDOM, AT])
    window, best = shares[eidetic.LATEST, AT].mean(), shares[eidetic.BEST, AT].mean()
    says = (
        f"With {AT} of {PAIRS} pairs kept exactly, those with the largest error of the state,"
        f" {percent(shares[eidetic.BEHIND, AT].mean())} are recalled: {100 * gain:+.1f} points"
        f" against as many at random (95 %: {100 * low:+.1f} to {100 * high:+.1f}). The latest"
        f" {AT}, as a window keeps them, give {percent(window)}, those that fail {percent(best)},"
        f" none {percent(shares[eidetic.RANDOM, 0].mean())}."
    )
    result.add(Finding("kept_pairs", gain, says, unit="share of questions", interval=(low, high)))
