"""What is left of a text after its last reading, and how long it is recited; early against late."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.measures.exposure_decay import (
    fit_laws,
    half_life,
    lag_bins,
    log_rank,
    retained,
    survival,
)
from analyses.measures.exposure_effects import stratified
from analyses.measures.statistics import difference
from analyses.training.retention.constants import DOSES, FEW
from analyses.training.retention.step_tables import enough_of, gain_of, half_of

if TYPE_CHECKING:
    from analyses.measures.exposure_panel import ExposurePanel
    from analyses.training.retention.params import Params
    from workbench.result import Result

_LAST_READ = 0.1, 0.5
"""Of the training: texts whose last reading lies there are seen at short lags and at long ones, and
were read by a model that had learned something.
"""

_WIDEST = 1.0
"""Of an interval; a lag at which less is known is left out."""


def add_tables(result: Result, panel: ExposurePanel, params: Params) -> None:
    """`retained`, `laws`, `survival`, `timing`."""
    cells = _cells(panel)
    left, laws = _retained(cells, params.seed)
    if len(left):
        result.tables["retained"] = left
    if len(laws):
        result.tables["laws"] = laws
    lasting = _survival(panel, params)
    if lasting is not None:
        result.tables["survival"] = lasting
    timing = _timing(panel, params)
    if len(timing):
        result.tables["timing"] = timing


def _cells(panel: ExposurePanel) -> pd.DataFrame:
    """Steps behind the first kept one after a text's last reading, which is the peak."""
    gain, steps, rows = gain_of(panel), panel.steps, []
    gain = gain - gain[:, :1]
    first, last = (share * steps[-1] for share in _LAST_READ)
    for number, entry in enumerate(panel.entries):
        if not entry.steps or not first <= entry.steps[-1] + 1 <= last:
            continue
        peak = int(np.searchsorted(steps, entry.steps[-1] + 1))
        for at in range(peak + 1, len(steps)):
            lag = int(steps[at] - steps[peak])
            rows.append((number, entry.repeats, lag, gain[number, at], gain[number, peak]))
    return pd.DataFrame(rows, columns=["item", "repeats", "lag", "gain", "peak"])


def _retained(cells: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows, laws = [], []
    for name, (least, most) in DOSES.items():
        part = cells[cells["repeats"].between(least, most)]
        for _, at in part.groupby(lag_bins(part["lag"].to_numpy(float))):
            if at["item"].nunique() < FEW:
                continue
            share, (low, high) = retained(
                at["gain"].to_numpy(), at["peak"].to_numpy(), at["item"].to_numpy(), seed=seed
            )
            if not high - low <= _WIDEST:
                continue
            count = at["item"].nunique()
            rows.append((name, float(at["lag"].mean()), share, low, high, count))
        own = [row for row in rows if row[0] == name and np.isfinite(row[2])]
        if len(own) < 3:
            continue
        lags, left = (np.array([row[n] for row in own]) for n in (1, 2))
        half = half_life(lags, left)
        laws += [
            (name, law, a, b, error, half) for law, (a, b, error) in fit_laws(lags, left).items()
        ]
    return (
        pd.DataFrame(rows, columns=["dose", "updates", "left", "low", "high", "n"]),
        pd.DataFrame(laws, columns=["dose", "law", "a", "b", "error", "half_life"]),
    )


def _survival(panel: ExposurePanel, params: Params) -> pd.DataFrame | None:
    """From the first kept step at which a text is recalled: how many still are, read again or not.
    By how often they were read; p from dealing these groups again. None where too few ever are.
    """
    recalled = panel.match(half_of(panel)) >= enough_of(panel, params)
    lasted, lost, repeats = [], [], []
    for number, entry in enumerate(panel.entries):
        there = recalled[number]
        if not entry.steps or not there[:-1].any():
            continue
        first = int(there.argmax())
        gone_at = np.flatnonzero(~there[first:])
        end = first + gone_at[0] if len(gone_at) else len(panel.steps) - 1
        lasted.append(panel.steps[end] - panel.steps[first])
        lost.append(bool(len(gone_at)))
        repeats.append(entry.repeats)
    if len(lasted) < FEW:
        return None
    time, gone, dose = np.array(lasted), np.array(lost), np.array(repeats)
    groups = (dose > np.median(dose)).astype(int)
    p = log_rank(time, gone, groups, seed=params.seed) if len(np.unique(groups)) > 1 else np.nan
    rows = []
    names = {-1: "all"} | (
        {0: f"up to {int(np.median(dose))} readings", 1: "more"} if np.isfinite(p) else {}
    )
    for group, name in names.items():
        chosen = (groups == group) if group >= 0 else np.ones(len(time), bool)
        at, share = survival(time[chosen], gone[chosen])
        for updates, there in [(0, 1.0), *zip(at, share, strict=True)]:
            rows.append((name, float(updates), float(there), int(chosen.sum()), p))
    return pd.DataFrame(rows, columns=["group", "updates", "share", "n", "p"])


def _timing(panel: ExposurePanel, params: Params) -> pd.DataFrame:
    """What it changes at the last step that as many readings came late and not early: by lot, so
    caused by nothing else.
    """
    timing = np.array([entry.timing for entry in panel.entries])
    match = panel.match(half_of(panel))[:, -1]
    measures = {
        "gain": gain_of(panel)[:, -1],
        "recalled": (match >= enough_of(panel, params)).astype(float),
    }
    late, early = timing == "late", timing == "early"
    rows = []
    for measure, values in measures.items():
        for dose in np.intersect1d(panel.repeats[late], panel.repeats[early]):
            one, other = (values[side & (panel.repeats == dose)] for side in (late, early))
            if min(len(one), len(other)) < 2:
                continue
            apart, (low, high) = difference(one, other)
            rows.append(
                (
                    measure,
                    str(dose),
                    other.mean(),
                    one.mean(),
                    apart,
                    low,
                    high,
                    len(one) + len(other),
                )
            )
        apart, (low, high) = stratified(
            values[late], values[early], panel.repeats[late], panel.repeats[early]
        )
        if np.isfinite(apart):
            n = int(late.sum() + early.sum())
            means = values[early].mean(), values[late].mean()
            rows.append((measure, "all", *means, apart, low, high, n))
    columns = ["measure", "readings", "early", "late", "difference", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns)
