"""What the part `kinds` looks like."""

from __future__ import annotations

import pandas as pd

from analyses.weights.memorized_or_understood import kinds_schema as schema
from workbench import views as v
from workbench.draw import colour
from workbench.result import Result

_HUES = {"known": colour.MEMORY, "generated": colour.OTHER}


def _abreast(run: Result) -> pd.DataFrame:
    """A row for each kind, what is known beside what was generated."""
    table = run.tables["kinds"]
    rows = []
    for kind, part in table.groupby("kind", sort=False):
        row: dict[str, object] = {"kind": kind}
        for one in part.to_dict("records"):
            row |= {one["source"]: one["exact"], f"{one['source']}_low": one["low"],
                    f"{one['source']}_high": one["high"], "n": one["n"]}  # fmt: skip
        rows.append(row)
    return pd.DataFrame(rows)


def _tokens(run: Result) -> pd.DataFrame:
    named = run.tables["kinds"].drop(columns=["low", "high"])
    return named.rename(columns={"right": "mean", "right_low": "low", "right_high": "high"})


VIEWS = [
    v.View("Kinds of text", needs="kinds", otherwise="the part `kinds` was not run", parts=[
        v.finding("kinds", "kind_tokens"),
        v.row(
            v.chart("rate_bars", _abreast, names="kind", words=_HUES, of="windows",
                    title="Windows that come out word for word (%)"),
            v.chart("intervals", _tokens, "kind", "source", _HUES, zero=False,
                    title="Tokens that are the likeliest", unit="share"),
            widths=(420, 420),
        ),
        v.says(schema.KINDS, small=True),
        v.table("kinds", "By kind"),
        v.table("kind_windows", "All windows", order=["-exact", "-right"]),
    ]),
]  # fmt: skip
