"""Predicting a column from a few rows: whether that works only where the table may have been read.

Four versions of the same rows (Bordt et al. 2024, 2404.06209): as in the file, with digits moved,
in words, and with standardized numbers under neutral names. What was learned from the shown rows
holds in all of them; what was remembered is lost where values or names change.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.evidence_table_tests import check_window
from analyses.measures.evidence_tables import (
    PERTURBED,
    STATISTICAL,
    TASK,
    VERSIONS,
    is_number,
    perturbed,
    statistical,
)
from analyses.measures.sampler import Sampler
from analyses.measures.scoring import score
from analyses.measures.windows import Window

if TYPE_CHECKING:
    from analyses.measures.evidence_table_tests import Report
    from analyses.measures.evidence_tables import DataTable
    from hooks.model import InstrumentedModel

MOST_LABELS = 10
"""Different values of a column that is predicted."""


@dataclass(frozen=True)
class Guesses:
    """Which asked rows come out right.

    Attributes:
        right: version -> (asked,) bool.
        commonest, nearest: the same of the commonest value among the shown rows, and of that of the
            shown row which is nearest.
    """

    right: dict[str, np.ndarray]
    commonest: np.ndarray
    nearest: np.ndarray


def can_be_guessed(table: DataTable, target: int) -> bool:
    """Whether a column has few enough values to be predicted, and more than one."""
    return 1 < len(set(table.column(target))) <= MOST_LABELS


def shown_rows(table: DataTable, rows: Sequence[int], shots: int, seed: int) -> list[list[int]]:
    """For each row the others that are shown before it, by lot."""
    n = len(table.rows)
    found = []
    for row in rows:
        rng = random.Random(f"{seed} shown {row}")
        found.append(rng.sample([r for r in range(n) if r != row], min(shots, n - 1)))
    return found


def guess(
    model: InstrumentedModel,
    table: DataTable,
    target: int,
    rows: Sequence[int],
    shots: int,
    seed: int,
    report: Report,
) -> Guesses:
    """Ask every version; a row is right where greedy decoding says its value and ends the line."""
    shown = shown_rows(table, rows, shots, seed)
    right = {}
    for number, version in enumerate(VERSIONS):
        written = _version(table, version, target, seed)
        windows = [
            _window(model, written, row, before, version, target)
            for row, before in zip(rows, shown, strict=True)
        ]
        check_window(model, windows, table.name)

        def part(fraction: float, says: str, number: int = number) -> None:
            report((number + fraction) / len(VERSIONS), says)

        scores = score(model, windows, Sampler(temperature=0), progress=part)
        right[version] = scores.match == np.array([len(w.suffix) for w in windows])
    return Guesses(right, *_without_a_model(table, target, rows, shown))


def _version(table: DataTable, version: str, target: int, seed: int) -> DataTable:
    if version == PERTURBED:
        return perturbed(table, seed, keep=target)
    return statistical(table, target) if version == STATISTICAL else table


def example(table: DataTable, row: int, version: str, target: int) -> tuple[str, str]:
    """(what stands before the value, the value with its space) of one row."""
    cells = [cell.strip() for cell in table.rows[row]]
    names = [name.strip() for name in table.header]
    others = [k for k in range(len(names)) if k != target]
    if version == TASK:
        said = ", ".join(f"{names[k]} is {cells[k]}" for k in others)
        return f"If {said}, then {names[target]} is", f" {cells[target]}"
    said = ", ".join(f"{names[k]} = {cells[k]}" for k in others)
    return f"{said}, {names[target]} =", f" {cells[target]}"


def _window(
    model: InstrumentedModel,
    table: DataTable,
    row: int,
    shown: Sequence[int],
    version: str,
    target: int,
) -> Window:
    lines = ["".join(example(table, r, version, target)) for r in shown]
    before, value = example(table, row, version, target)
    prompt = model.text.encode("\n".join([*lines, before]))
    return Window(
        0, row, tuple(model.text.beginning), tuple(prompt),
        tuple(model.continuation_tokens(f"{value}\n")),
    )  # fmt: skip


def _without_a_model(
    table: DataTable, target: int, rows: Sequence[int], shown: Sequence[Sequence[int]]
) -> tuple[np.ndarray, np.ndarray]:
    values = _numbers(table, target)
    labels = table.column(target)
    commonest, nearest = [], []
    for row, before in zip(rows, shown, strict=True):
        common = Counter(labels[r] for r in before).most_common(1)[0][0]
        near = min(before, key=lambda r: float(np.abs(values[r] - values[row]).sum()))
        commonest.append(common == labels[row])
        nearest.append(labels[near] == labels[row])
    return np.array(commonest), np.array(nearest)


def _numbers(table: DataTable, target: int) -> np.ndarray:
    """All other columns as numbers, (row, number): standardized, or 0 and 1 for each word."""
    columns = []
    for k in range(len(table.header)):
        cells = table.column(k)
        if k == target:
            continue
        if all(map(is_number, cells)):
            values = np.array([float(cell) for cell in cells])
            columns.append((values - values.mean()) / (values.std() or 1.0))
        else:
            words = np.array(cells)
            columns += [(words == word) / 2 for word in dict.fromkeys(cells)]
    return np.stack(columns, 1) if columns else np.zeros((len(table.rows), 1))
