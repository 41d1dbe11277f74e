"""Part `tables`: whether it knows a table by heart, or could predict its values."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.measures import evidence_table_shots as shots
from analyses.measures import evidence_table_tests as tests
from analyses.measures import evidence_tables as tables
from analyses.measures.statistics import wilson
from analyses.weights.memorized_or_understood import tables_findings as findings
from analyses.weights.memorized_or_understood.tables_schema import (
    FIRST,
    MISSING,
    NEXT_ROW,
    OPENING,
    REDEALT,
    WHOLE,
)
from workbench.cost import Cost

if TYPE_CHECKING:
    from analyses.weights.memorized_or_understood.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

_OPENING = 8  # rows from the top
_FEW = 6  # rows shown to predict a column from
_TOKENS = 1.3  # of a character: cells are cut fine
_NAMED = 2.5  # times as long as its line is a row with the names of its columns


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """Of every test on the table and its copies, and of four versions to predict from."""
    table = params.data_table()
    some = range(min(50, len(table.rows)))
    row = _TOKENS * sum(len(table.line(r)) + 1 for r in some) / len(some)
    asked = min(params.table_rows, max(1, len(table.rows) - params.table_shots))
    lines = 3 * asked * (params.table_shots + 1) + 2 * asked * (params.table_shots + 1)
    opening = 2 * _OPENING * (_OPENING + 1) / 2
    few = 4 * asked * (_FEW + 1) * _NAMED
    tokens = row * (lines + opening + few)
    return Cost(tokens, tokens / 1500)


def run(model: InstrumentedModel, params: Params, progress: Progress, result: Result) -> None:
    """Adds the tables `table_tests`, `table_rows` and, where a column can be predicted,
    `table_versions`.
    """
    table = params.data_table()
    target = table.number_of(params.table_target)
    rows = tests.draw_rows(table, params.table_rows, params.table_shots, params.seed)
    copies = {
        tables.ORIGINAL: table,
        tables.PERTURBED: tables.perturbed(table, params.seed),
        REDEALT: tables.redealt(table, params.seed),
    }
    found: list[dict[str, object]] = []
    for number, (version, copy) in enumerate(copies.items()):
        part = progress.subprogress(0.2 * number, 0.2 * (number + 1))
        following = tests.next_rows(model, copy, rows, params.table_shots, part.subprogress(0, 0.5))
        found += _row_tests(version, copy, following)
        if version == tables.ORIGINAL:
            result.tables["table_rows"] = _asked(copy, following)
        if version != REDEALT:
            found += _other_tests(model, params, version, copy, rows, part.subprogress(0.5, 1))
    result.tables["table_tests"] = pd.DataFrame(found)
    guessed: dict[str, np.ndarray] = {}
    if shots.can_be_guessed(table, target):
        few = progress.subprogress(0.6, 1)
        guesses = shots.guess(model, table, target, rows, _FEW, params.seed, few)
        result.tables["table_versions"], guessed = _versions(guesses), guesses.right
    findings.add(result, table, target, tests.rows_predict_rows(table), guessed)


def _row_tests(
    version: str, table: tables.DataTable, following: tests.CellHits
) -> list[dict[str, object]]:
    """The next row as a whole, its first value alone, and each of its columns."""
    rows = [_whole(version, NEXT_ROW, table, following)]
    for k, name in enumerate(table.header):
        chance = tests.best_guess(table, k)
        rows.append(_one(version, FIRST if k == 0 else NEXT_ROW, name, following, k, chance))
    return rows


def _other_tests(
    model: InstrumentedModel,
    params: Params,
    version: str,
    table: tables.DataTable,
    rows: list[int],
    progress: Progress,
) -> list[dict[str, object]]:
    """The opening of the file, and the column with most bits left out of its rows."""
    first = tests.opening(model, table, _OPENING, progress.subprogress(0, 0.2))
    bits = []
    for k in range(len(table.header)):
        cells = table.column(k)
        worth = tables.surprise(cells)
        bits.append(sum(worth[cell] for cell in cells))
    column = max(range(len(bits)), key=bits.__getitem__)
    missing = tests.missing_values(
        model, table, rows, column, params.table_shots, params.seed, progress.subprogress(0.2, 1)
    )
    chance = tests.best_guess(table, column)
    return [
        _whole(version, OPENING, table, first),
        _one(version, MISSING, table.header[column], missing, 0, chance),
    ]


def _whole(
    version: str, test: str, table: tables.DataTable, hits: tests.CellHits
) -> dict[str, object]:
    """Whole rows: without a model one can be said only where it repeats the row before."""
    pairs = pairwise(table.rows)
    again = (sum(a == b for a, b in pairs) + 1) / (len(table.rows) + 1)
    return _counted(version, test, WHOLE, hits.whole, hits.share_of_bits, "the row before", again)


def _one(
    version: str,
    test: str,
    name: str,
    hits: tests.CellHits,
    at: int,
    chance: tuple[str, float],
) -> dict[str, object]:
    """One column of the rows."""
    only = tests.CellHits(hits.rows, hits.right[:, [at]], hits.bits[:, [at]], hits.right[:, at])
    return _counted(version, test, name.strip(), only.whole, only.share_of_bits, *chance)


def _counted(
    version: str,
    test: str,
    column: str,
    right: np.ndarray,
    bits: float,
    predictor: str,
    chance: float,
) -> dict[str, object]:
    hits, n = int(right.sum()), len(right)
    low, high = wilson(hits, n)
    return {
        "version": version, "test": test, "column": column, "right": hits / n, "low": low,
        "high": high, "bits": bits, "chance": chance, "predictor": predictor,
        "p": tests.binomial(hits, n, chance), "n": n,
    }  # fmt: skip


def _asked(table: tables.DataTable, hits: tests.CellHits) -> pd.DataFrame:
    """The rows that were asked for, and how many of their cells came out right."""
    return pd.DataFrame({
        "row": hits.rows + 1,
        "line": [table.line(row) for row in hits.rows],
        "cells_right": hits.right.sum(1),
        "cells": hits.right.shape[1],
        "whole": hits.whole,
    })  # fmt: skip


def _versions(guesses: shots.Guesses) -> pd.DataFrame:
    """Accuracy by version, beside what the shown rows give without a model."""
    rows = []
    named = {**guesses.right, "the commonest of the shown": guesses.commonest,
             "the nearest of the shown": guesses.nearest}  # fmt: skip
    for version, right in named.items():
        low, high = wilson(int(right.sum()), len(right))
        rows.append({
            "version": version, "right": float(right.mean()), "low": low, "high": high,
            "n": len(right),
        })  # fmt: skip
    return pd.DataFrame(rows)
