"""What is looked at of a card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.card.evaluation_card.constants import APART, CHANCE, MEASURED
from workbench.evaluation_card import ROWS

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

TOLD, NOT_TOLD = "told from chance", "may be chance"
FINDINGS = tuple(row.name.replace("-", "_") for row in ROWS)
_FAR = 8.0  # standard errors: what lies farther is drawn there


def from_null(run: Result) -> pd.DataFrame:
    """Standard errors from the null, of each number that has one."""
    table = run.tables["card"]
    rows = table[table["told"].isin([APART, CHANCE])]
    middle = rows["errors"].clip(-_FAR, _FAR)
    twice = rows["row"].duplicated(keep=False)
    names = rows["asks"].where(~twice, rows["asks"] + " (" + rows["analysis"] + ")")
    return rows.assign(
        question=names, what=rows["told"].map({APART: TOLD, CHANCE: NOT_TOLD}),
        mean=middle, low=middle - 2, high=middle + 2,
    )[["question", "what", "mean", "low", "high"]]  # fmt: skip


def measured(run: Result) -> pd.DataFrame:
    """The rows that have a number."""
    table = run.tables["card"]
    columns = ["asks", "says", "value", "unit", "low", "high", "null", "beside", "told", "run",
               "made"]  # fmt: skip
    return table.loc[table["state"] == MEASURED, columns]


def missing(run: Result) -> pd.DataFrame:
    """The rows that have none: what would fill them, in what time."""
    table = run.tables["card"]
    return table.loc[table["state"] != MEASURED, ["asks", "state", "analysis", "takes", "says"]]


def changed(run: Result) -> pd.DataFrame:
    """Differences in units of half their interval, so that all fit one scale."""
    table = run.tables["differences"]
    half = ((table["high"] - table["low"]) / 2).where(lambda width: width > 0)
    middle = (2 * table["difference"] / half).clip(-_FAR, _FAR)
    return table.assign(
        question=table["asks"], what=table["differs"].map({"yes": TOLD}).fillna(NOT_TOLD),
        mean=middle, low=middle - 2, high=middle + 2,
    ).dropna(subset=["mean"])[["question", "what", "mean", "low", "high"]]  # fmt: skip
