"""What is said of a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analyses.measures.evidence_tables import ORIGINAL, PERTURBED, STATISTICAL
from analyses.measures.statistics import rates_apart
from analyses.weights.memorized_or_understood.tables_schema import (
    MISSING,
    NEXT_ROW,
    OPENING,
    REDEALT,
    WHOLE,
)
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from analyses.measures.evidence_tables import DataTable
    from workbench.result import Result

_SURE = 0.05


def add(
    result: Result, table: DataTable, target: int, predicted: tuple[float, float, float, int]
) -> None:
    """All findings of the part.

    Args:
        target: column that is predicted from a few rows.
        predicted: as `evidence_table_tests.rows_predict_rows` gives it.
    """
    tests = result.tables["table_tests"].set_index(["version", "test", "column"]).sort_index()
    _add_known(result, tests, table)
    _add_missing(result, tests)
    _add_order(result, predicted)
    if "table_versions" in result.tables:
        _add_versions(result, table.header[target].strip())


def _add_known(result: Result, tests: pd.DataFrame, table: DataTable) -> None:
    rows = {version: tests.loc[(version, NEXT_ROW, WHOLE)] for version in
            (ORIGINAL, PERTURBED, REDEALT)}  # fmt: skip
    own, opening = rows[ORIGINAL], tests.loc[(ORIGINAL, OPENING, WHOLE)]
    n = int(own["n"])
    is_known = own["p"] < _SURE or opening["p"] < _SURE
    lead = f"{table.name} comes out by heart" if is_known else f"{table.name} is not known by heart"
    says = (
        f"{lead}: after the rows before it, {round(own['right'] * n)} of {counted(n, 'row')} come"
        f" out whole ({percent(own['bits'])} of all bits, each after the true values before it), of"
        f" the first rows {round(opening['right'] * opening['n'])} of {int(opening['n'])}. With"
        f" digits moved {round(rows[PERTURBED]['right'] * n)} of {n} do"
        f" ({percent(rows[PERTURBED]['bits'])} of the bits), in another order of rows"
        f" {round(rows[REDEALT]['right'] * n)} ({percent(rows[REDEALT]['bits'])}): tables that"
        " nobody has read."
    )
    values = {"rows": float(own["right"]), "opening": float(opening["right"])}
    values |= {f"bits_{version.split()[0]}": float(row["bits"]) for version, row in rows.items()}
    result.add(
        Finding("table_known", values, says, unit="share of rows, of bits",
                interval={"rows": (float(own["low"]), float(own["high"]))})
    )  # fmt: skip


def _add_missing(result: Result, tests: pd.DataFrame) -> None:
    own = tests.loc[(ORIGINAL, MISSING)].iloc[0]
    column = tests.loc[(ORIGINAL, MISSING)].index[0]
    other = tests.loc[(PERTURBED, MISSING)].iloc[0]
    beats = "more often than" if own["p"] < _SURE else "not more often than"
    says = (
        f"Left out of its row, a value of “{column}” comes out right for {percent(own['right'])} of"
        f" {counted(int(own['n']), 'row')} (95 %: {percent(own['low'])} to"
        f" {percent(own['high'])}), {beats} by {own['predictor']} ({percent(own['chance'])};"
        f" p = {own['p']:.2g}); with digits moved {percent(other['right'])}."
    )
    result.add(
        Finding("table_missing", float(own["right"]), says, unit="share of values",
                interval=(float(own["low"]), float(own["high"])))
    )  # fmt: skip


def _add_order(result: Result, predicted: tuple[float, float, float, int]) -> None:
    gain, low, high, columns = predicted
    if math.isnan(gain):
        return
    if low > 0:
        lead = (
            f"Rows can be predicted from the rows before: a linear model explains {percent(gain)}"
            " of the variance"
        )
    else:
        lead = "Rows cannot be predicted from the rows before by a linear model"
    says = (
        f"{lead} (95 %: {percent(low, sign=True)} to {percent(high, sign=True)}, over"
        f" {counted(columns, 'column')} of numbers, fitted on the first half of the file). "
        + (
            "So a value that comes out right need not be remembered."
            if low > 0
            else ("So a row that comes out whole was remembered.")
        )
    )
    result.add(Finding("table_order", gain, says, unit="share of variance", interval=(low, high)))


def _add_versions(result: Result, name: str) -> None:
    rows = result.tables["table_versions"].set_index("version")
    own, neutral = rows.loc[ORIGINAL], rows.loc[STATISTICAL]
    best = rows.loc[[i for i in rows.index if i.startswith("the ")], "right"].max()
    apart = rates_apart(own["right"], own["n"], neutral["right"], neutral["n"])
    lead = (
        "is predicted worse once names and scales are gone, as what was remembered would be"
        if apart[0] > 0
        else "is predicted no better where the table may have been read"
    )
    others = ", ".join(f"{i} {percent(rows.loc[i, 'right'])}" for i in rows.index[1:4])
    says = (
        f"“{name}” {lead}: from six rows {percent(own['right'])} of"
        f" {counted(int(own['n']), 'row')} come out right as the file has them ({others}; the best"
        f" rule without a model {percent(best)}). Original less statistical:"
        f" {percent(own['right'] - neutral['right'], sign=True)} (95 %:"
        f" {percent(apart[0], sign=True)} to {percent(apart[1], sign=True)})."
    )
    values = {str(version): float(row["right"]) for version, row in rows.iterrows()}
    result.add(Finding("table_versions", values, says, unit="share of rows"))
