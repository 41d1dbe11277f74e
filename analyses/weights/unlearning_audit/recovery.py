"""What relearning brings back beyond what a model learns anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.statistics import mean_interval
from analyses.weights.unlearning_audit import constants as c

if TYPE_CHECKING:
    import pandas as pd


def recovery(rows: pd.DataFrame, reference: str | None) -> pd.DataFrame:
    """What relearning brings back beyond what a model learns anew: per model and what it was
    trained on the mean gain over ln(1 + step), in points of first choice, less the reference's on
    the same passages; without a reference less its own on passages it never read.
    """
    import pandas as pd

    found: list[dict[str, Any]] = []
    forget = rows[rows["set"] == c.FORGET]
    for (model, name), own in forget.groupby(["model", "trained_on"], sort=False):
        gain = _gains(own)
        if reference is not None:
            theirs = forget[(forget["model"] == reference) & (forget["trained_on"] == name)]
            beyond = gain - _gains(theirs).reindex(gain.index)
        else:
            anew = rows[(rows["model"] == model) & (rows["trained_on"] == name)]
            anew = _gains(anew[anew["set"] == c.UNSEEN])
            beyond = gain - anew.mean() if len(anew) else gain * np.nan
        mean, (low, high) = mean_interval(beyond.dropna().to_numpy(float))
        last = own[own["step"] == own["step"].max()]["exact"].mean()
        first = own[own["step"] == 0]["exact"].mean()
        found.append(
            {"model": model, "trained_on": name, "first": first, "last": last, "excess": mean,
             "low": low, "high": high, "n": int(beyond.notna().sum())}
        )  # fmt: skip
    return pd.DataFrame(found)


def _gains(rows: pd.DataFrame) -> pd.Series:
    """Passage -> area under what relearning adds, over ln(1 + step), as a mean in points."""
    wide = rows.pivot_table(index="passage", columns="step", values="exact")
    axis = np.log1p(wide.columns.to_numpy(float))
    added = wide.sub(wide[wide.columns[0]], axis=0)
    return added.apply(lambda row: np.trapezoid(row, axis) / (axis[-1] - axis[0]), axis=1)
