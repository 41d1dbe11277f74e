"""The law on a run's own points: which form tells forgetting best, also of a rank it never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.measures.forgetting_law import LINE, LawPoints, fits, judged

if TYPE_CHECKING:
    import pandas as pd


def law_points(table: pd.DataFrame) -> LawPoints:
    """From the table `law`."""
    names = ("rank", "trained", "step", "nats", "size", "kl")
    return LawPoints(*(table[name].to_numpy(float) for name in names))


def fit_table(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A row per form for all ranks together (`rank` 0), and the line of each rank by itself:
    `form`, `rank`, `r2`, `held_out`, `slope`, `intercept`, `n`.
    """
    import pandas as pd

    points = law_points(table)
    rows = [
        (fit.form, 0, fit.r2, fit.held_out, fit.slope, fit.intercept, len(table))
        for fit in fits(points, seed)
    ]
    for rank in sorted(set(table["rank"])):
        own = points.some(points.rank == rank)
        line = judged(LINE, own, seed)
        rows.append(
            (LINE, int(rank), line.r2, line.held_out, line.slope, line.intercept, len(own.kl))
        )
    columns = ["form", "rank", "r2", "held_out", "slope", "intercept", "n"]
    return pd.DataFrame(rows, columns=columns)


def line_of(fit: pd.DataFrame, rank: int = 0) -> tuple[float, float]:
    """(slope, intercept) of the line of one rank; 0: of all."""
    row = fit[(fit["form"] == LINE) & (fit["rank"] == rank)].iloc[0]
    return float(row["slope"]), float(row["intercept"])
