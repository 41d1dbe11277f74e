"""What a grid says: what all seeds chose, where the first number is largest and smallest, and how
many runs there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from workbench.grid_page import selections
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

_NAMED = 6


def findings(run: Result) -> Iterator[Finding]:
    """The findings of a grid, from its tables."""
    choices = run.tables.get("choices")
    if selections.has_seeds(run):
        if choices is not None:
            yield stability(choices[choices["of"] > 1])
        yield seeds(run.tables["over_seeds"]["n"])
    if numbers := selections.multiples(run):
        yield from extremes(run, numbers[0][0])
        if selections.is_drawn(run):
            yield spread(run, numbers[0][0])
    yield progress(run.tables["runs"]["state"])


def stability(choices: pd.DataFrame) -> Finding:
    """How many of the items that any seed chose all seeds chose.

    Args:
        choices: of combinations with several seeds.
    """
    pairs = choices[["combination", "choice", "item"]]
    always = choices[choices["runs"] == choices["of"]]
    seeds = sorted(set(choices["of"]))
    many = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    words = []
    n_combinations = choices["combination"].nunique()
    for name, rows in choices.groupby("choice", sort=False):
        mine = always[always["choice"] == name]
        items = list(mine["item"]) if n_combinations == 1 else []
        named = ", ".join(items[:_NAMED]) + (" …" if len(items) > _NAMED else "")
        words.append(f"{len(mine)} of the {len(rows)} {name}{f' ({named})' if named else ''}")
    over = "" if n_combinations == 1 else f", over {counted(n_combinations, 'combination')}"
    return Finding(
        "stability",
        {"share": len(always) / len(pairs), "items": float(len(pairs))},
        f"All {many} seeds agree on {' and '.join(words)} that any of them chose{over}.",
        unit="share of chosen items",
    )


def seeds(counts: pd.Series) -> Finding:
    """How many seeds each combination has."""
    least, most = int(counts.min()), int(counts.max())
    many = counted(most, "seed") if least == most else f"{least} to {most} seeds"
    return Finding("seeds", float(least), f"{many} of each combination.", unit="seeds")


def extremes(run: Result, number: selections.GridNumber) -> Iterator[Finding]:
    """Where a number is largest and smallest; nothing where there is one run only."""
    means = selections.rows_of(run, number).dropna(subset=["mean"]).sort_values("mean")
    if len(means) > 1:
        low, high = means.iloc[0], means.iloc[-1]
        places, values = (low["combination"], high["combination"]), (low["mean"], high["mean"])
        seeds = ", mean over the seeds" if (means["n"] > 1).any() else ""
    else:
        rows = selections.rows_of(run, number, "numbers").dropna(subset=["number"])
        if len(rows) < 2:
            return
        names = run.tables["runs"].set_index("id")["run"]
        rows = rows.sort_values("number")
        low, high = rows.iloc[0], rows.iloc[-1]
        places, values = (names[low["id"]], names[high["id"]]), (low["number"], high["number"])
        seeds = ""
    least, most = (in_words(float(value), number) for value in values)
    if values[0] == values[1]:
        says = f"“{number.says}” is {most} everywhere{seeds}."
    else:
        says = f"“{number.says}” goes from {least} ({places[0]}) to {most} ({places[1]}){seeds}."
    numbers = {"largest": float(values[1]), "smallest": float(values[0])}
    yield Finding("extremes", numbers, says, unit=number.unit)


def spread(run: Result, number: selections.GridNumber) -> Finding:
    """How far a number moves under other seeds alone: what differences are to be read against."""
    rows = selections.rows_of(run, number).dropna(subset=["mean"])
    repeated = rows[rows["n"] > 1]
    if repeated.empty:
        says = (
            "One seed was run, so how much of a difference is chance cannot be told; more seeds"
            " tell it: --set seed=0,1,2,3,4."
        )
        return Finding(
            "spread", {"seeds": float("nan"), "combinations": 0.0}, says, unit=number.unit
        )
    widths = repeated["largest"] - repeated["smallest"]
    moved, n = float(widths.max()), len(repeated)
    begin = f"With nothing but the seed changed, “{number.says}” moves by"
    if n == 1:
        says = f"{begin} {apart(moved, number)}, from its smallest to its largest."
    else:
        means = repeated["mean"]
        between = apart(float(means.max() - means.min()), number)
        says = (
            f"{begin} {apart(moved, number)} at most; the means of the {n} combinations lie"
            f" {between} apart."
        )
    return Finding("spread", {"seeds": moved, "combinations": float(n)}, says, unit=number.unit)


def progress(states: pd.Series) -> Finding:
    """How many runs are done."""
    done, failed, waiting = ((states == state).sum() for state in ("done", "failed", "to do"))
    more = f", {failed} failed" if failed else ""
    more += f", {waiting} not done yet" if waiting else ""
    says = f"{done} of {counted(len(states), 'run')} {'is' if done == 1 else 'are'} done{more}."
    return Finding(
        "runs",
        {"done": float(done), "failed": float(failed), "planned": float(len(states))},
        says,
        "runs",
    )


def in_words(value: float, number: selections.GridNumber) -> str:
    """A number with its unit; shares as percent."""
    if number.share:
        return percent(value)
    return f"{value:.3g} {number.unit}".strip() if number.unit != "probability" else f"{value:.3g}"


def apart(difference: float, number: selections.GridNumber) -> str:
    """How far two values of a number lie apart; shares in percentage points."""
    return f"{100 * difference:.3g} points" if number.share else in_words(difference, number)
