"""What is said of puzzles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.statistics import rates_apart, sign
from analyses.weights.memorized_or_understood.constants import (
    BETWEEN,
    BOTH,
    CLEAN,
    FRESH,
    IN_OTHER_WORDS,
    MODEL,
    NULL,
    ORIGINAL,
    TRAINED,
    UNTRAINED,
    WITHIN,
)
from workbench.result import Finding
from workbench.wording import counted, percent, percent_span

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result


def add(result: Result, name: str) -> None:
    """All findings of the part."""
    _add_solved(result, name)
    _add_limem(result)
    _add_told_apart(result)
    _add_null(result)
    _add_people(result)


def rows_of(table: pd.DataFrame, **wanted: Any) -> pd.DataFrame:
    """The rows of a table with these values."""
    chosen = np.ones(len(table), bool)
    for column, value in wanted.items():
        chosen &= (table[column] == value).to_numpy()
    return table[chosen]


def main_people(result: Result) -> int:
    """People of the puzzles that have changed copies."""
    return int(result.tables["limem"]["people"].iloc[0])


def _add_solved(result: Result, name: str) -> None:
    """How many puzzles are solved as they stand: those read, and fresh ones."""
    table, people = result.tables["puzzles"], main_people(result)
    rows = rows_of(table, model=MODEL, version=ORIGINAL, people=people)
    trained, fresh = rows_of(rows, of=TRAINED), rows_of(rows, of=FRESH).iloc[0]
    spread = {"fresh": (float(fresh["low"]), float(fresh["high"]))}
    base = max(float(fresh["majority"]), float(fresh["chance"]))
    beside = (
        f"guessing {percent(fresh['chance'])}, always the commonest answer"
        f" {percent(fresh['majority'])}"
    )
    values = {"fresh": float(fresh["solved"]), "chance": float(fresh["chance"]),
              "majority": float(fresh["majority"]), "n": float(fresh["n"])}  # fmt: skip
    if trained.empty:
        above = sign(float(fresh["low"]), float(fresh["high"]), at=base)
        verdict = "more than" if above else "not told apart from" if above is None else "less than"
        says = (
            f"{name} solves {percent(fresh['solved'])} of {counted(int(fresh['n']), 'new puzzle')}"
            f" of {people} people ({percent_span(fresh['low'], fresh['high'])}): {verdict} chance"
            f" ({beside})."
        )
        result.add(Finding("puzzles", values, says, unit="share of puzzles", interval=spread))
        return
    own = trained.iloc[0]
    apart = rates_apart(own["solved"], own["n"], fresh["solved"], fresh["n"])
    spread |= {"trained": (float(own["low"]), float(own["high"])), "apart": apart}
    values |= {"trained": float(own["solved"]), "apart": float(own["solved"] - fresh["solved"])}
    points = f"{100 * apart[0]:.0f} to {100 * apart[1]:.0f} points"
    came = {
        True: f"{points} come from having read them",
        False: f"of those it has read it solves fewer ({points})",
        None: f"whether having read them counts is not told apart ({points})",
    }[sign(*apart)]
    says = (
        f"{name} solves {percent(own['solved'])} of the puzzles it has read and"
        f" {percent(fresh['solved'])} of fresh ones ({percent_span(fresh['low'], fresh['high'])};"
        f" {beside}): {came}."
    )
    result.add(Finding("puzzles", values, says.replace("-", "−"), unit="share of puzzles",
                       interval=spread))  # fmt: skip


def _add_limem(result: Result) -> None:
    """LiMem of trained puzzles against that of fresh ones, and both against chance."""
    rows = rows_of(result.tables["limem"], model=MODEL, change=BOTH)
    trained, fresh = rows_of(rows, of=TRAINED), rows_of(rows, of=FRESH).iloc[0]
    if trained.empty:
        within = sign(float(fresh["excess_low"]), float(fresh["excess_high"]))
        verdict = {
            None: "not told apart from that",
            True: "more than by chance",
            False: "less than by chance",
        }[within]
        if fresh["consistent"] == 0:
            verdict = "no copy of a solved one is solved, as where everything gets one answer"
        says = (
            f"LiMem of new puzzles is {percent(fresh['limem'])}"
            f" ({percent_span(fresh['low'], fresh['high'])}), where puzzles and copies that have"
            f" nothing to do with each other give {percent(fresh['null'])}: {verdict}."
        )
        values = {"fresh": float(fresh["limem"]), "null": float(fresh["null"])}
        span = {"fresh": (float(fresh["low"]), float(fresh["high"]))}
        result.add(Finding("limem", values, says, unit="LiMem", interval=span))
        return
    own = trained.iloc[0]
    low, high = rates_apart(own["limem"], own["n"], fresh["limem"], fresh["n"])
    higher = sign(low, high)
    verdict = {
        True: "higher, as where puzzles were memorized",
        False: "lower, as where copies are solved with their puzzles",
        None: "not told apart",
    }[higher]
    within = sign(float(own["excess_low"]), float(own["excess_high"]))
    link = {
        True: "who solves one solves its copy less often",
        False: "who solves one solves its copy more often",
        None: "whether solving one says something of its copy is not told apart",
    }[within]
    says = (
        f"Solved, and a changed copy not (LiMem): {percent(own['limem'])} of puzzles it has read"
        f" and {percent(fresh['limem'])} of fresh ones, {verdict} ({100 * low:+.0f} to"
        f" {100 * high:+.0f} points). If copies had nothing to do with their puzzles it would be"
        f" {percent(own['null'])} of those it has read: {link}."
    )
    values = {
        "trained": float(own["limem"]), "fresh": float(fresh["limem"]),
        "apart": float(own["limem"] - fresh["limem"]), "null": float(own["null"]),
        "consistent": float(own["consistent"]),
    }  # fmt: skip
    spread = {
        "trained": (float(own["low"]), float(own["high"])),
        "fresh": (float(fresh["low"]), float(fresh["high"])),
        "apart": (low, high),
    }
    values = {key: value for key, value in values.items() if value == value}
    result.add(Finding("limem", values, says.replace("-", "−"), unit="LiMem", interval=spread))


def _add_told_apart(result: Result) -> None:
    """Contaminated against clean, by the score that was named before: its copies in other words."""
    table = result.tables.get("told_apart")
    if table is None:
        return
    rows = rows_of(table, score=IN_OTHER_WORDS)
    within, values, spread = rows_of(rows, contrast=WITHIN, model=MODEL), {}, {}
    if within.empty:
        return
    own = within.iloc[0]
    values["within"], spread["within"] = float(own["auc"]), (float(own["low"]), float(own["high"]))
    says = (
        "How much likelier an answer is than in other words tells puzzles it has read from fresh"
        f" ones with AUC {own['auc']:.2f} ({own['low']:.2f} to {own['high']:.2f})"
    )
    clean, between = rows_of(rows, model=CLEAN), rows_of(rows, contrast=BETWEEN)
    if not clean.empty:
        twin, both = clean.iloc[0], between.iloc[0]
        for key, row in {"clean": twin, "between": both}.items():
            values[key], spread[key] = float(row["auc"]), (float(row["low"]), float(row["high"]))
        # To the twin it is the other way round: what is fresh here it has read.
        says += (
            f"; of its twin, which read the others, {twin['auc']:.2f} ({twin['low']:.2f} to"
            f" {twin['high']:.2f}). On the same puzzles it tells this model from the clean one with"
            f" AUC {both['auc']:.2f} ({both['low']:.2f} to {both['high']:.2f})"
        )
        null = rows_of(rows, contrast=NULL).iloc[0]
        values["neither"], spread["neither"] = float(null["auc"]), (null["low"], null["high"])
        says += (
            f", and on puzzles that neither has read with {null['auc']:.2f} ({null['low']:.2f} to"
            f" {null['high']:.2f})"
        )
    result.add(Finding("contaminated", values, f"{says}.", unit="AUC", interval=spread))


def _add_null(result: Result) -> None:
    """What a model of this build does that has learned nothing."""
    rows = rows_of(result.tables["puzzles"], model=UNTRAINED, version=ORIGINAL)
    n, hits = int(rows["n"].sum()), float((rows["solved"] * rows["n"]).sum())
    row, limem = rows.iloc[-1], rows_of(result.tables["limem"], model=UNTRAINED, change=BOTH)
    says = (
        f"Untrained, a model of this build solves {percent(hits / n)} of {counted(n, 'puzzle')}"
        f" (guessing {percent(row['chance'])}); its LiMem is {percent(limem['limem'].mean())}, by"
        f" chance {percent(limem['null'].mean())}."
    )
    values = {"solved": hits / n, "limem": float(limem["limem"].mean()),
              "null": float(limem["null"].mean())}  # fmt: skip
    result.add(Finding("untrained_puzzles", values, says, unit="share of puzzles"))


def _add_people(result: Result) -> None:
    """Whether it carries over to other numbers of people."""
    main = main_people(result)
    rows = rows_of(result.tables["puzzles"], model=MODEL, of=FRESH, version=ORIGINAL)
    rows = rows[rows["people"] != main]
    if rows.empty:
        return
    words, values, spread = [], {}, {}
    for row in rows.to_dict("records"):
        key, base = f"people_{row['people']}", max(row["chance"], row["majority"])
        above = sign(row["low"], row["high"], at=base)
        values[key], spread[key] = row["solved"], (row["low"], row["high"])
        verdict = {True: "above chance", False: "below chance",
                   None: "not told apart from chance"}[above]  # fmt: skip
        words.append(
            f"{percent(row['solved'])} of those with {row['people']} people"
            f" ({percent_span(row['low'], row['high'])}; {verdict}: guessing gives at most"
            f" {percent(base)})"
        )
    says = f"Of puzzles of other sizes it solves {' and '.join(words)}."
    result.add(Finding("transfer", values, says, unit="share of puzzles", interval=spread))
