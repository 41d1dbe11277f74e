"""What is said of a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analyses.measures.evidence_tables import ORIGINAL, PERTURBED
from analyses.measures.statistics import paired_gain, sign
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
    from collections.abc import Mapping

    import numpy as np
    import pandas as pd

    from analyses.measures.evidence_tables import DataTable
    from workbench.result import Result

_SURE = 0.05


def add(
    result: Result,
    table: DataTable,
    target: int,
    predicted: tuple[float, float, float, int],
    guessed: Mapping[str, np.ndarray],
) -> None:
    """All findings of the part.

    Args:
        target: column that is predicted from a few rows.
        predicted: as `evidence_table_tests.rows_predict_rows` gives it.
        guessed: by version of the table which rows it comes out right for, (row,); empty where it
            is not predicted.
    """
    tests = result.tables["table_tests"].set_index(["version", "test", "column"]).sort_index()
    _add_known(result, tests, table, can_be_predicted=predicted[1] > 0)
    _add_missing(result, tests)
    _add_order(result, predicted)
    if guessed:
        _add_versions(result, table.header[target].strip(), guessed)


def _add_known(
    result: Result, tests: pd.DataFrame, table: DataTable, *, can_be_predicted: bool
) -> None:
    rows = {version: tests.loc[(version, NEXT_ROW, WHOLE)] for version in
            (ORIGINAL, PERTURBED, REDEALT)}  # fmt: skip
    own, opening = rows[ORIGINAL], tests.loc[(ORIGINAL, OPENING, WHOLE)]
    n = int(own["n"])
    comes_out = min(own["p"], opening["p"]) < _SURE / 2  # either of two tests
    lead = (
        f"That {table.name} is known by heart is not shown"
        if not comes_out
        else f"{table.name} comes out, as far as it can also be predicted"
        if can_be_predicted
        else f"{table.name} comes out by heart"
    )
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
        lead = "That a linear model can predict rows from the rows before is not shown"
    says = (
        f"{lead} (95 %: {percent(low, sign=True)} to {percent(high, sign=True)}, over"
        f" {counted(columns, 'column')} of numbers, fitted on the first half of the file). "
        + (
            "So a value that comes out right need not be remembered."
            if low > 0
            else "So a linear model does not explain a row that comes out whole."
        )
    )
    result.add(Finding("table_order", gain, says, unit="share of variance", interval=(low, high)))


def _add_versions(result: Result, name: str, guessed: Mapping[str, np.ndarray]) -> None:
    """As the file has it against digits moved: names and scales are the same, so what a model knows
    of these is in both.
    """
    rows = result.tables["table_versions"].set_index("version")
    own = rows.loc[ORIGINAL]
    best = rows.loc[[i for i in rows.index if i.startswith("the ")], "right"].max()
    apart, (low, high) = paired_gain(guessed[ORIGINAL].astype(int) - guessed[PERTURBED].astype(int))
    lead = {
        True: "is predicted worse once digits are moved, as what was remembered would be",
        False: "is predicted better once digits are moved",
        None: "is not told apart from the same with digits moved",
    }[sign(low, high)]
    others = ", ".join(f"{i} {percent(rows.loc[i, 'right'])}" for i in rows.index[1:4])
    says = (
        f"“{name}” {lead}: from six rows {percent(own['right'])} of"
        f" {counted(int(own['n']), 'row')} come out right as the file has them ({others}; the best"
        f" rule without a model {percent(best)}). Original less perturbed, the same rows:"
        f" {percent(apart, sign=True)} (95 %: {percent(low, sign=True)} to"
        f" {percent(high, sign=True)})."
    )
    values = {str(version): float(row["right"]) for version, row in rows.iterrows()}
    result.add(Finding("table_versions", {**values, "apart": apart}, says, unit="share of rows",
                       interval={"apart": (low, high)}))  # fmt: skip
