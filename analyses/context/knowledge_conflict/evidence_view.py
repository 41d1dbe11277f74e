"""What the part `evidence` looks like."""

from __future__ import annotations

import pandas as pd

from analyses.context.knowledge_conflict import schema
from workbench import views as v
from workbench.result import Result


def _ratios(table: str, names: str, by: str, *, title: str) -> v.ViewPart:
    """Memorization ratios with their intervals."""

    def rows(run: Result) -> pd.DataFrame | None:
        found = run.tables.get(table)
        return None if found is None else found.rename(columns={"ratio": "mean"})

    return v.chart("intervals", rows, names, by, zero=False, title=title, unit="ratio")


VIEWS = [
    v.View("Evidence", needs="evidence", parts=[
        v.finding("evidence", "evidence_order", "evidence_dates"),
        v.row(
            _ratios("evidence", "mix", "facts", title="Memory among the two answers"),
            _ratios("evidence_popularity", "mix", "half", title="Known facts, by popularity"),
            widths=(420, 420),
        ),
        v.says(schema.EVIDENCE, small=True),
        v.table("evidence", "Sentences on either side"),
    ], otherwise="this run did not ask with mixed evidence (an option)"),
]  # fmt: skip
