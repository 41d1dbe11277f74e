"""Claims about coverage: how many features few tokens reach, and what would explain it away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analyses.claims import Measured, verdict_of
from analyses.features.function_tokens.constants import FIRST
from analyses.measures.statistics import rates_apart, sign, wilson_of
from workbench.result import Result
from workbench.wording import formatted, percent

if TYPE_CHECKING:
    import pandas as pd


_FEW = 20
"""Occurrences below which a comparison at equal occurrences says nothing."""


_NEARLY_ALL = 0.98
"""Coverage above which two curves are not compared: there is too little text for so few features
to tell them apart.
"""


def _more(table: pd.DataFrame, one: str, other: str, widths: Sequence[int]) -> list[bool | None]:
    """Where one column reaches more than the other, beyond chance over features; not told where
    both reach nearly all.
    """
    return [
        None if min(a, b) > _NEARLY_ALL else sign(*rates_apart(a, n, b, n))
        for a, b, n in zip(table[one], table[other], widths, strict=True)
    ]


def _widths(result: Result, table: pd.DataFrame) -> list[int]:
    """How many features there are at each place of a table."""
    widths = result.tables["autoencoders"].set_index("sae")["d_sae"]
    return [int(width) for width in widths[table["sae"]]]


def _each(table: pd.DataFrame, text: str) -> str:
    """The text with the columns of every row, `sae` first."""
    return "; ".join(f"{row['sae']}: " + formatted(text, **row) for row in table.to_dict("records"))


def _row(result: Result, name: str, n: int) -> pd.DataFrame:
    table = result.tables[name]
    return table[table["n_types"] == n]


def _reach(result: Result) -> Measured:
    table = _row(result, "coverage", FIRST)
    measured = _each(table, "{coverage:%}")
    middle = len(table) // 2
    low, high = wilson_of(float(table["coverage"].iloc[middle]), _widths(result, table)[middle])
    verdict = verdict_of([sign(low, high, 0.5)])
    return Measured(
        measured,
        verdict,
        (
            f"middle layer {percent(low)} to {percent(high)} (95 %, over features); it grows with"
            f" the text,"
            " and says nothing without the rows below"
        ),
    )


def _reach_more(result: Result, n: int, than: str, named: str, sure: str) -> Measured:
    """Whether the first n tokens reach more features than another column of `coverage` says."""
    table = _row(result, "coverage", n)
    measured = _each(table, "{coverage:%}, " + named + " {" + than + ":%}")
    verdict = verdict_of(_more(table, "coverage", than, _widths(result, table)))
    return Measured(measured, verdict, f"{sure}; 95 % intervals over features")


def _learned(result: Result) -> Measured:
    sure = "one draw of directions, each as often active as a feature is on average"
    return _reach_more(result, FIRST, "random_directions", "random directions", sure)


def _same_number(result: Result) -> Measured:
    sure = "expected exactly, over all draws of as many content tokens"
    n = int(result.findings["function_tokens"].values["n_types"])
    return _reach_more(result, n, "content", "content", sure)


def _equal(result: Result) -> Measured:
    table = result.tables["degree_by_class"]
    drawn = int(table["n_occurrences"].iloc[0])
    known = drawn >= _FEW
    # The rarest type compared sets how much text is enough.
    enough = int(result.tables["tokens"]["occurrences"].sum()) * _FEW // max(1, drawn)
    return Measured(
        _each(
            table,
            "{function_degree:.0f} against {content_degree:.0f} (difference {difference_low:.0f} to"
            " {difference_high:.0f})",
        ),
        verdict_of(
            [
                sign(low, high)
                for low, high in zip(table["difference_low"], table["difference_high"], strict=True)
            ]
            if known
            else []
        ),
        f"{drawn:,} occurrences of each type, 95 % intervals over types"
        + ("" if known else f"; at least {_FEW} are needed: read about {enough:,} tokens"),
    )


def _pairing(result: Result) -> Measured:
    sure = "one shuffle; if shuffled tokens reach as much, frequency alone does it"
    return _reach_more(result, FIRST, "shuffled", "shuffled within windows", sure)
