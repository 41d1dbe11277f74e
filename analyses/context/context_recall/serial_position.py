"""Which items of a list are found, by their place in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from analyses.context.context_recall import score_tables
from analyses.context.context_recall.constants import (
    CONDITIONS,
    ENDS,
    LISTS,
    NUMBERED,
    REORDERED,
    TWIN,
)
from analyses.measures import recall_contexts as contexts
from analyses.measures.recall_scores import recall
from analyses.measures.statistics import mean_interval
from analyses.measures.untrained_twin import untrained

if TYPE_CHECKING:
    import pandas as pd

    from analyses.context.context_recall.params import Params
    from analyses.measures.recall_contexts import Context
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

TWIN_LISTS = 6
"""Lists that the untrained twin reads, at most."""


def list_contexts(params: Params) -> dict[str, list[Context]]:
    """Lists by condition; the same pairs in all."""
    half = max(2, params.lists // 2)
    made: dict[str, list[Context]] = {name: [] for name in CONDITIONS}
    for n in range(params.lists):
        seed = params.seed * 100_003 + n
        made[LISTS].append(contexts.key_value(params.pairs, seed))
        if n < half:
            order = [int(i) for i in np.random.default_rng([seed, 5]).permutation(params.pairs)]
            made[REORDERED].append(contexts.key_value(params.pairs, seed, order=order))
            made[NUMBERED].append(contexts.key_value(params.pairs, seed, labelled=True))
    made[TWIN] = made[LISTS][:TWIN_LISTS]
    return made


def ask(model: InstrumentedModel, params: Params, progress: Progress) -> pd.DataFrame:
    """One row per pair of every list, with its place from 1."""
    import pandas as pd

    made, frames = list_contexts(params), []
    total, done = sum(map(len, made.values())), 0
    for name, given in made.items():
        reader = model if name != TWIN else untrained(model, params.seed)
        part = progress.subprogress(done / total, (done + len(given)) / total)
        frame = score_tables.rows_of(given, recall(reader, given, part, says=f"Lists ({name})"))
        frames.append(frame.assign(condition=name, position=frame["place"] + 1))
        done += len(given)
    return pd.concat(frames, ignore_index=True)


def ends(frame: pd.DataFrame) -> pd.DataFrame:
    """How much more often the first and the last items are found than those in the middle third,
    by condition, with intervals over lists.
    """
    import pandas as pd

    rows = []
    for condition, part in frame.groupby("condition", sort=False):
        wide = part.pivot(index="context", columns="position", values="correct").to_numpy(float)
        n = wide.shape[1]
        k = min(ENDS, n // 3) or 1
        third = max(1, n // 3)
        start = (n - third) // 2
        middle = wide[:, start : start + third].mean(1)
        for name, edge in (("primacy", wide[:, :k]), ("recency", wide[:, -k:])):
            mean, (low, high) = mean_interval(edge.mean(1) - middle)
            rows.append((condition, name, mean, low, high, len(wide)))
    return pd.DataFrame(rows, columns=["condition", "effect", "mean", "low", "high", "n"])


def intrusions(frame: pd.DataFrame) -> np.ndarray:
    """Share of questions after the item of each place that are answered by each item, (asked,
    answered); the lists alone.
    """
    part = frame[frame["condition"] == LISTS]
    n = int(part["position"].max())
    found = np.zeros((n, n))
    taken = np.where(part["correct"], part["place"], part["intruder"])
    for place, answered in zip(part["place"], taken, strict=True):
        if answered >= 0:
            found[int(place), int(answered)] += 1
    counts = part.groupby("place").size().to_numpy(float)
    shares: np.ndarray = found / counts[:, None]
    return shares


def intrusion_lags(shares: np.ndarray) -> Mapping[int, float]:
    """Mean share of intrusions from so many places away, over all places that have such a one."""
    n = len(shares)
    return {lag: float(np.mean(np.diagonal(shares, lag))) for lag in range(-(n - 1), n) if lag != 0}
