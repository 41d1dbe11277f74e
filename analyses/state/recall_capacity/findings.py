"""Findings of recall and their sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.statistics import sign
from analyses.state.recall_capacity.constants import READINGS
from workbench.result import Finding, Result
from workbench.wording import counted, listed, percent, percent_span

if TYPE_CHECKING:
    from analyses.state.recall_capacity.measure import Answers

Gain = tuple[float, tuple[float, float]]
"""A difference of two shares, and its 95 % interval."""


def points(gain: float, bounds: tuple[float, float]) -> str:
    """ "+12 points (95 %: +8 to +16)"."""
    if any(bound != bound for bound in bounds):
        return f"{_signed(gain)} points (too few rows for an interval)"
    low, high = map(_signed, bounds)
    return f"{_signed(gain)} points (95 %: {low} to {high})"


def _signed(share: float) -> str:
    return f"{round(100 * share):+d}".replace("-", "−")


def add_recall(result: Result, model: str) -> None:
    """How much is recalled, and what a guess gets."""
    table = result.tables["by_pairs"].set_index("pairs")
    shares = [f"{percent(row.recall)} of {pairs}" for pairs, row in table.iterrows()]
    last = table.iloc[-1]
    drawn = percent_span(last["lowest"], last["highest"])
    is_spread = last["lowest"] != last["highest"]
    seeds = f" (single draws of rows: {drawn} at {table.index[-1]})" if is_spread else ""
    result.add(
        Finding(
            "recall",
            {f"pairs_{pairs}": float(row.recall) for pairs, row in table.iterrows()},
            f"{model} recalls {listed(shares)} pairs{seeds}.",
            unit="share of questions",
            interval={f"pairs_{p}": (row.low, row.high) for p, row in table.iterrows()},
        ),
        _span(table["recall"].to_dict()),
    )
    guesses = [f"{percent(row.shuffled)} of {pairs}" for pairs, row in table.iterrows()]
    strict = [f"{percent(row.all_tokens)} of {pairs}" for pairs, row in table.iterrows()]
    result.add(
        Finding(
            "guess",
            {f"pairs_{pairs}": float(row.shuffled) for pairs, row in table.iterrows()},
            f"Against values of the row that were drawn at random the same answers are right for"
            f" {listed(guesses)} pairs; a guess among all values would be right in"
            f" {percent(table['chance'].iloc[0])}. The right value is the likeliest of all tokens"
            f" for {listed(strict)} pairs.",
            unit="share of questions",
        )
    )


def _span(recall: Mapping[int, float]) -> Finding:
    """Up to how many pairs half of them are recalled, between two measured numbers by a straight
    line over doublings.
    """
    pairs = np.array(list(recall))
    shares = np.array(list(recall.values()))
    below = np.flatnonzero(shares < 0.5)
    if not len(below):
        return Finding(
            "span",
            float(pairs[-1]),
            f"Half of the pairs or more are recalled up to the most that were asked for,"
            f" {pairs[-1]}.",
            unit="pairs",
        )
    at = int(below[0])
    if at == 0:
        words = f"Of {pairs[0]} pairs, the fewest that were asked for, less than half are recalled."
        return Finding("span", 0.0, words, unit="pairs")
    x, y = np.log2(pairs[at - 1 : at + 1]), shares[at - 1 : at + 1]
    span = float(2 ** (x[0] + (y[0] - 0.5) / (y[0] - y[1]) * (x[1] - x[0])))
    return Finding(
        "span", span, f"Half of the pairs are recalled up to about {span:.0f} pairs.", unit="pairs"
    )


def add_order(result: Result, pairs: int, early: Answers, late: Answers) -> None:
    """Whether pairs that are read late are recalled better than those read early."""
    gain, bounds = late.less(early)
    verdict = {
        True: "Pairs that are read late are recalled better",
        False: "Pairs that are read early are recalled better",
        None: "No difference between pairs that are read early and late is shown",
    }[sign(*bounds)]
    result.add(
        Finding(
            "order",
            {
                "early": float(early.right.mean()),
                "late": float(late.right.mean()),
                "gain": gain,
            },
            f"{verdict}: of {pairs} pairs, {percent(late.right.mean())} of the last quarter and"
            f" {percent(early.right.mean())} of the first, {points(gain, bounds)}.",
            unit="share of questions",
            interval={"gain": bounds},
        )
    )


def add_gap(result: Result, pairs: int, asked: Mapping[int, Answers]) -> None:
    """What filler between pairs and question costs."""
    shortest, longest = min(asked), max(asked)
    near, far = asked[shortest], asked[longest]
    gain, bounds = far.less(near)
    says = (
        f"Of {pairs} pairs {percent(near.right.mean())} are recalled after a gap of"
        f" {counted(shortest, 'token')}"
    )
    if longest > shortest:
        says += (
            f" and {percent(far.right.mean())} after {counted(longest, 'token')}:"
            f" {points(gain, bounds)}"
        )
    result.add(
        Finding(
            "gap",
            {
                "shortest": float(near.right.mean()),
                "longest": float(far.right.mean()),
                "gain": gain,
            },
            f"{says}.",
            unit="share of questions",
            interval={"gain": bounds} if longest > shortest else None,
        )
    )


def add_repeats(result: Result, gains: Mapping[int, Mapping[str, Gain]]) -> None:
    """What reading the pairs twice gains."""
    most = max(gains)
    words = []
    for reading in ("twice", "shuffled"):
        gain, bounds = gains[most][reading]
        shown = {True: "gains", False: "costs", None: "changes nothing that is shown:"}[
            sign(*bounds)
        ]
        words.append(
            f"{'read' if reading == 'twice' else 'Read'} {READINGS[reading]} {shown}"
            f" {points(gain, bounds)}"
        )
    result.add(
        Finding(
            "repeats",
            {reading: gains[most][reading][0] for reading in ("twice", "shuffled")},
            f"Of {most} pairs, {words[0]}. {words[1]}.",
            unit="difference of shares of questions",
            interval={reading: gains[most][reading][1] for reading in ("twice", "shuffled")},
        )
    )


def add_rebinding(result: Result) -> None:
    """Which value is given of a key that had two."""
    table = result.tables["rebinding"].set_index("key")
    changed = table.loc["bound again"]
    says = (
        f"Of keys that were bound a second time, behind all pairs, the model gives the new value in"
        f" {percent(changed.recall)}, the old one in {percent(changed.old)} and another in"
        f" {percent(max(0.0, changed.other))}"
    )
    values = {"new": float(changed.recall), "old": float(changed.old)}
    if "bound once" in table.index:
        values["bound_once"] = float(table.loc["bound once"].recall)
        says += f"; of the other keys of these rows it recalls {percent(values['bound_once'])}"
    result.add(
        Finding(
            "rebinding",
            values,
            f"{says}.",
            unit="share of questions",
            interval={
                "new": (float(changed.low), float(changed.high)),
                "old": (float(changed.old_low), float(changed.old_high)),
            },
        )
    )
