"""What a card says."""

from __future__ import annotations

import math

from analyses.card.evaluation_card.constants import APART, CHANCE, MEASURED, MISSING, NO_NULL
from workbench.cost import in_words
from workbench.result import Finding, Result
from workbench.wording import counted


def add_rows(result: Result) -> None:
    """How much of the card is there, and each of its rows in a sentence."""
    table = result.tables["card"]
    asked = table["row"].nunique()
    measured = table[table["state"] == MEASURED]
    missing = table[table["state"] == MISSING]
    told = measured["told"]
    says = f"{measured['row'].nunique()} of {asked} questions are answered by finished runs"
    if len(measured):
        apart, chance, open_ = (int((told == each).sum()) for each in (APART, CHANCE, NO_NULL))
        told_apart = f"{counted(apart, 'number')} {_verb(apart, 'is', 'are')} told from chance"
        says += f": {told_apart}, {chance} {_verb(chance, 'is', 'are')} not"
        if open_:
            says += f", {open_} {_verb(open_, 'has', 'have')} no null or no interval"
    if len(missing):
        seconds = missing["seconds"].sum()
        says += f". To fill the other {len(missing)} takes {in_words(seconds)}"
    values = {
        "answered": float(measured["row"].nunique()), "asked": float(asked),
        "told": float((told == APART).sum()),
    }  # fmt: skip
    result.add(Finding("card", values, f"{says}.", unit="questions"))
    for name, rows in measured.groupby("row", sort=False):
        row = rows.iloc[0]
        interval = None if math.isnan(row["low"]) else (float(row["low"]), float(row["high"]))
        says = " ".join(map(_sentence, rows.to_dict("records")))
        result.add(Finding(str(name).replace("-", "_"), float(row["value"]), says,
                           unit=str(row["unit"]), interval=interval))  # fmt: skip


def _verb(number: int, one: str, many: str) -> str:
    return one if number == 1 else many


def _sentence(row: dict[str, object]) -> str:
    """A cell with its interval, its null, and how the two stand."""
    low, high, null = (float(str(row[key])) for key in ("low", "high", "null"))
    ends = f"{_number(low)} to {_number(high)} {row['unit']}"
    span = "" if math.isnan(low) else f" (95\u00a0% {ends})"
    beside = "" if math.isnan(null) else f"; {row['beside']}: {_number(null)}"
    as_chance = ", so it is not told from that" if row["told"] == CHANCE else ""
    return f"{row['asks']} {row['says']}{span}{beside}{as_chance}."


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "\u2212")


def add_differences(result: Result, name: str, other: str) -> None:
    """What differs from the second model."""
    table = result.tables["differences"]
    apart = table[table["differs"] == "yes"]
    says = f"{name} and {other} are asked {len(table)} questions alike; {len(apart)} differ"
    says += f": {'; '.join(apart['asks'].str.rstrip('?'))}." if len(apart) else "."
    result.add(Finding("differ", float(len(apart)), says, unit="questions"))
