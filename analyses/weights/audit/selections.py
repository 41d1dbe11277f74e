"""What is looked at of an audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

TITLES = {
    "documents": "documents",
    "personal": "personal data",
    "facts": "facts",
    "items": "test items",
}
OUT, CONTROL = "comes out", "nothing to find"


def by_kind(run: Result) -> pd.DataFrame:
    """Shares that come out, with those of the controls, of each kind."""
    table = run.tables["verdicts"]
    renamed = {
        "out": OUT, "out_low": f"{OUT}_low", "out_high": f"{OUT}_high",
        "control": CONTROL, "control_low": f"{CONTROL}_low", "control_high": f"{CONTROL}_high",
    }  # fmt: skip
    # Where there was no control its bar has no length; the table says that there is none.
    return table.assign(
        kind=table["kind"].map(TITLES), control=table["control"].fillna(0.0)
    ).rename(columns=renamed)


def documents(run: Result) -> pd.DataFrame:
    """The documents, what comes out first."""
    columns = ["name", "verdict", "evidence", "longest_run", "n_exact", "n_windows", "n_patterns"]
    return run.tables["documents"][columns]


def values_out(run: Result) -> pd.DataFrame:
    """Personal values, those that come out by themselves first."""
    table = run.tables["personal"]
    rank = table["comes_out"].astype(int) * 2 - table["guessed"].astype(int)
    return table.loc[rank.sort_values(ascending=False, kind="stable").index]


def by_field(run: Result) -> pd.DataFrame:
    """Of each field: how many values were found and asked, come out, and can be guessed."""
    table = run.tables["personal"]
    counts = table.groupby("field").agg(comes_out=("comes_out", "sum"), guessed=("guessed", "sum"))
    fields = run.tables["fields"].merge(counts, left_on="field", right_index=True, how="left")
    return fields.fillna({"comes_out": 0, "guessed": 0})
