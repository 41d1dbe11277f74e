"""What a model says of a table: the next row, its first value, the opening, and a missing value.

All by one teacher-forced pass: greedy decoding says a row if and only if each of its tokens is the
likeliest after the ones before. A hit is worth the bits that its value takes to say, so that a
column which is always 0 counts nothing; and it is held to what the best predictor without a model
says.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.evidence_tables import check_shots, is_number, surprise
from analyses.measures.sampler import Sampler
from analyses.measures.scoring import is_greedy, score
from analyses.measures.windows import Window
from workbench.errors import BadInput

if TYPE_CHECKING:
    from analyses.measures.evidence_tables import DataTable
    from hooks.model import InstrumentedModel

Report = Callable[[float, str], None]
_LAGS = 3  # rows before, from which a row is predicted
_RIDGE = 1e-3


@dataclass(frozen=True)
class CellHits:
    """Which cells come out right, given all that stands before them.

    Attributes:
        rows: numbers of the rows, (asked,).
        right: (asked, cell).
        bits: what each cell takes to say, (asked, cell).
        whole: the whole row is said, (asked,).
    """

    rows: np.ndarray
    right: np.ndarray
    bits: np.ndarray
    whole: np.ndarray

    @property
    def share_of_bits(self) -> float:
        """Bits that were said of those there are; NaN where every value is the only one."""
        total = float(self.bits.sum())
        return float((self.bits * self.right).sum()) / total if total else float("nan")


def draw_rows(table: DataTable, count: int, shots: int, seed: int) -> list[int]:
    """Rows that have `shots` rows before them, drawn by lot, in order."""
    check_shots(table, shots)
    reachable = range(shots, len(table.rows))
    return sorted(random.Random(f"{seed} asked").sample(reachable, min(count, len(reachable))))


def next_rows(
    model: InstrumentedModel, table: DataTable, rows: Sequence[int], shots: int, report: Report
) -> CellHits:
    """Each row after the header and the rows before it in the file."""
    prompts = [
        "\n".join([table.heading, *(table.line(r) for r in range(row - shots, row))]) + "\n"
        for row in rows
    ]
    return _cells(model, table, rows, prompts, range(len(table.header)), report)


def opening(model: InstrumentedModel, table: DataTable, lines: int, report: Report) -> CellHits:
    """The first rows, one after the other, after all of the file before them (header test)."""
    rows = range(min(lines, len(table.rows)))
    prompts = [
        "\n".join([table.heading, *(table.line(r) for r in range(row))]) + "\n" for row in rows
    ]
    return _cells(model, table, rows, prompts, range(len(table.header)), report)


def missing_values(
    model: InstrumentedModel,
    table: DataTable,
    rows: Sequence[int],
    column: int,
    shots: int,
    seed: int,
    report: Report,
) -> CellHits:
    """One column's value, after the other cells of its row and some other rows laid out alike
    (feature test).
    """
    others = [k for k in range(len(table.header)) if k != column]
    turned = [*others, column]

    def line(cells: Sequence[str]) -> str:
        return table.joined([cells[k] for k in turned])

    prompts = []
    for row in rows:
        rng = random.Random(f"{seed} {row}")
        shown = rng.sample([r for r in range(len(table.rows)) if r != row], shots)
        before = table.joined([table.rows[row][k] for k in others]) + table.delimiter
        prompts.append(
            "\n".join([line(table.header), *(line(table.rows[r]) for r in shown), before])
        )
    return _cells(model, table, rows, prompts, [column], report)


def _cells(
    model: InstrumentedModel,
    table: DataTable,
    rows: Sequence[int],
    prompts: Sequence[str],
    columns: Sequence[int],
    report: Report,
) -> CellHits:
    windows, spans, limits = [], [], []
    for row, prompt in zip(rows, prompts, strict=True):
        said = [table.quoted(table.rows[row][k]) for k in columns]
        answer = table.delimiter.join(said) + "\n"
        # The whole is cut into tokens at once, as a file would be, and parted behind the prompt.
        whole = prompt + answer
        ids = model.text.encode(whole)
        places = model.text.spans_of(whole, ids)
        first = next(n for n, (_, end) in enumerate(places) if end > len(prompt))
        windows.append(
            Window(0, row, tuple(model.text.beginning), tuple(ids[:first]), tuple(ids[first:]))
        )
        spans.append([(start, end) for start, end in places[first:]])
        limits.append(_limits(len(prompt), said, table.delimiter))
    check_window(model, windows, table.name)
    scores = score(model, windows, Sampler(temperature=0), progress=report)
    right = is_greedy(scores, windows)
    hits = np.array([
        [all(right[n, t] for t in _tokens_of(limit, spans[n])) for limit in limits[n]]
        for n in range(len(windows))
    ])  # fmt: skip
    worth = [surprise(table.column(k)) for k in columns]
    bits = np.array(
        [[w[table.rows[row][k]] for w, k in zip(worth, columns, strict=True)] for row in rows]
    )
    return CellHits(np.array(list(rows)), hits, bits, np.all(hits, axis=1, keepdims=False))


def check_window(model: InstrumentedModel, windows: Sequence[Window], name: str) -> None:
    """Raises: BadInput: the rows that are shown and asked are more tokens than the model was made
    to read at once.
    """
    longest = max(len(w.prompt) + len(w.suffix) for w in windows)
    window = model.positions or model.card.context_length or longest
    if longest > window:
        raise BadInput(
            f"Rows of {name} do not fit: those shown and the one asked are {longest:,} tokens, and"
            f" {model.card.name} reads {window:,}.",
            "rows that fit beside those shown before them",
            "Show fewer rows, or drop long columns.",
        )


def _limits(start: int, cells: Sequence[str], delimiter: str) -> list[tuple[int, int]]:
    """Characters of each cell with the delimiter or line end behind it: without that a longer value
    would count as its own beginning.
    """
    found = []
    for cell in cells:
        end = start + len(cell) + len(delimiter)
        found.append((start, end))
        start = end
    return found


def _tokens_of(limit: tuple[int, int], spans: Sequence[tuple[int, int]]) -> list[int]:
    return [n for n, (start, end) in enumerate(spans) if start < limit[1] and end > limit[0]]


def best_guess(table: DataTable, column: int) -> tuple[str, float]:
    """(which predictor, how often it is right) of those that need no model: the commonest value,
    the value of the row before, that of the likeliest row by all other cells.

    One more hit and one more miss are counted, so that a rate of 0 rules nothing out.
    """
    cells, n = table.column(column), len(table.rows)
    common = Counter(cells).most_common(1)[0][1]
    before = sum(a == b for a, b in pairwise(cells))
    nearest = _nearest(table, column)
    alike = sum(cells[row] == cells[near] for row, near in enumerate(nearest))
    rates = {
        "the commonest value": (common - 1 + 1) / (n - 1 + 2),
        "the row before": (before + 1) / (n - 1 + 2),
        "the nearest row": (alike + 1) / (n + 2),
    }
    name = max(rates, key=rates.__getitem__)
    return name, rates[name]


def _nearest(table: DataTable, column: int) -> np.ndarray:
    """The row that is most like each row in all other cells, (row,): numbers by their distance in
    standard deviations, words by being the same.
    """
    n = len(table.rows)
    apart = np.zeros((n, n))
    for k in range(len(table.header)):
        if k == column:
            continue
        cells = table.column(k)
        if all(map(is_number, cells)):
            values = np.array([float(c) for c in cells])
            spread = values.std() or 1.0
            apart += np.abs(values[:, None] - values[None]) / spread
        else:
            words = np.array(cells)
            apart += words[:, None] != words[None]
    np.fill_diagonal(apart, np.inf)
    found: np.ndarray = apart.argmin(1)
    return found


def binomial(hits: int, n: int, chance: float) -> float:
    """p of so many hits or more where each comes with probability `chance`: exact, one-sided."""
    from scipy.stats import binom

    return float(binom.sf(hits - 1, n, chance)) if n else 1.0


def rows_predict_rows(table: DataTable) -> tuple[float, float, float, int]:
    """(mean, low, high, columns): by how much of their variance a linear model of the three rows
    before predicts numbers better than the mean, fitted on the first half of the file and tested on
    the second. Above 0 rows can be *predicted* and need not be remembered; NaN without numbers.

    The interval (95 %) is over blocks of four rows, since errors next to each other go together.
    """
    from analyses.measures.statistics import mean_interval

    numbers = [k for k in range(len(table.header)) if all(map(is_number, table.column(k)))]
    numbers = [k for k in numbers if len(set(table.column(k))) > 1]
    if not numbers:
        return float("nan"), float("nan"), float("nan"), 0
    values = np.array([[float(row[k]) for k in numbers] for row in table.rows])
    half = len(values) // 2
    mean, spread = values[:half].mean(0), values[:half].std(0)
    values = (values - mean) / np.where(spread > 0, spread, 1.0)
    given = np.concatenate(
        [values[_LAGS - lag - 1 : len(values) - lag - 1] for lag in range(_LAGS)], 1
    )
    given = np.concatenate([given, np.ones((len(given), 1))], 1)
    wanted, cut = values[_LAGS:], half - _LAGS
    square = given[:cut].T @ given[:cut] + _RIDGE * len(given) * np.eye(given.shape[1])
    weights = np.linalg.solve(square, given[:cut].T @ wanted[:cut])
    error = ((wanted[cut:] - given[cut:] @ weights) ** 2).mean(1)
    plain = (wanted[cut:] ** 2).mean(1)
    gains = plain - error
    groups = np.arange(len(gains)) // 4
    value, (low, high) = mean_interval(gains / plain.mean(), groups)
    return value, low, high, len(numbers)
