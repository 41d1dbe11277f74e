"""What the part `popularity` looks like."""

from __future__ import annotations

import pandas as pd

from analyses.weights.memorized_or_understood import popularity_schema as schema
from workbench import views as v
from workbench.result import Result


def _known(run: Result) -> pd.DataFrame:
    grid = run.tables["popularity_grid"]
    return grid.assign(known=100 * grid["closed_book"]).rename(columns={"band": "popularity"})


def _policies(run: Result) -> pd.DataFrame:
    return run.tables["retrieval"].assign(measured="right answers")


VIEWS = [
    v.View("Popularity", needs="popularity_grid", otherwise="the part `popularity` was not run",
           parts=[
        v.finding("popularity", "retrieval"),
        v.row(
            v.chart("matrix", _known, "relation", "popularity", "known", unit="%",
                    title="Known closed-book"),
            v.chart("intervals", _policies, "policy", "measured", zero=False,
                    title="Right answers by when one looks up", unit="share of facts"),
            widths=(420, 420),
        ),
        v.says(schema.RETRIEVAL, small=True),
        v.table("popularity_slopes", "What makes an answer right"),
        v.table("retrieval_thresholds", "Thresholds"),
        v.table("popularity_grid", "By relation and popularity"),
        v.table("popularity_facts", "All facts"),
    ]),
]  # fmt: skip
