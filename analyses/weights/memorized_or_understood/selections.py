"""What is looked at of the parts `puzzles` and `path`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analyses.weights.memorized_or_understood.constants import (
    BETWEEN,
    BOTH,
    FRESH,
    MODEL,
    ORIGINAL,
    TRAINED,
    UNTRAINED,
)
from workbench.draw import colour
from workbench.wording import percent

if TYPE_CHECKING:
    from workbench.result import Result
    from workbench.views import Pick

HUES = {
    TRAINED: colour.MEMORY, FRESH: colour.CONTEXT, UNTRAINED: colour.OTHER,
    "by chance": colour.BLUE_STROKE,
}  # fmt: skip


def _present(rows: pd.DataFrame) -> dict[str, str]:
    """The colours of those kinds that there are, for a legend without gaps."""
    return {of: hue for of, hue in HUES.items() if of in set(rows["of"])}


def hues_of_solved(run: Result) -> dict[str, str]:
    """For `solved`."""
    return _present(solved(run))


def hues_of_limem(run: Result) -> dict[str, str]:
    """For `limem`."""
    return _present(limem(run))


def _in_percent(rows: pd.DataFrame, value: str) -> pd.DataFrame:
    return rows.assign(
        mean=100 * rows[value], low=100 * rows["low"], high=100 * rows["high"]
    ).reset_index(drop=True)


def _with_copies(run: Result, name: str) -> pd.DataFrame:
    """The rows of puzzles that have changed copies, of the model and its untrained twin."""
    table = run.tables[name]
    people = run.tables["limem"]["people"].iloc[0]
    rows = table[(table["people"] == people) & table["model"].isin([MODEL, UNTRAINED])]
    of_twin = (rows["model"] == UNTRAINED) & (rows["of"] == FRESH)
    rows = rows[(rows["model"] == MODEL) | of_twin]
    return rows.assign(of=rows["of"].where(rows["model"] == MODEL, rows["model"]))


def solved(run: Result) -> pd.DataFrame:
    """Share solved by version, a colour for what was read."""
    return _in_percent(_with_copies(run, "puzzles"), "solved")


def limem(run: Result) -> pd.DataFrame:
    """LiMem by change, and what it is by chance."""
    rows = _in_percent(_with_copies(run, "limem"), "limem")
    fresh = rows[rows["of"] == FRESH]
    null = 100 * fresh["null"]
    chance = fresh.assign(of="by chance", mean=null, low=null, high=null)
    return pd.concat([rows, chance], ignore_index=True)


def separations(run: Result) -> pd.DataFrame | None:
    """AUC by what is told apart."""
    table = run.tables.get("told_apart")
    if table is None:
        return None
    return table.assign(
        mean=table["auc"],
        contrast=[
            one if one.startswith(BETWEEN) else f"{one}, {who}"
            for one, who in zip(table["contrast"], table["model"], strict=True)
        ],
    )


def sizes(run: Result) -> pd.DataFrame:
    """Fresh puzzles by their number of people, beside what guessing gives at most."""
    table = run.tables["puzzles"]
    rows = table[(table["model"] == MODEL) & (table["of"] == FRESH)]
    rows = _in_percent(rows[rows["version"] == ORIGINAL], "solved").sort_values("people")
    rows = rows.assign(people=[f"{n} people" for n in rows["people"]])
    base = 100 * rows[["chance", "majority"]].max(axis=1)
    guessed = rows.assign(of="at most by guessing", mean=base, low=base, high=base)
    return pd.concat([rows.assign(of="solved"), guessed], ignore_index=True)


def puzzles(run: Result) -> dict[str, int]:
    """The puzzles, in words."""
    table = run.tables["puzzle_items"]
    return {
        f"{row.item}: {row.of}, {row.people} people, {'solved' if row.solved else 'not solved'}":
            int(row.item)
        for row in table.itertuples()
    }  # fmt: skip


def first_puzzle(run: Result, pick: Pick) -> int:
    """One that was solved and whose changed copies were not, if there is any."""
    table, chosen = run.tables["puzzle_items"], pick.selection.prompt
    if chosen is not None and chosen < len(table):
        return chosen
    rows = table[table["solved"] & (table["copies"] < 1)]
    return int((rows if len(rows) else table)["item"].iloc[0])


def puzzle_in_words(run: Result, pick: Pick) -> list[str]:
    """A puzzle, its answer, and how it went."""
    row = run.tables["puzzle_items"].iloc[pick["prompt"]]
    went = "Solved" if row["solved"] else "Not solved"
    found = [f"{went}; its right words have a probability of {percent(row['p'])}."]
    if row["copies"] == row["copies"]:
        found[0] += (
            f" Of its changed copies {percent(row['copies'])} are solved, of those in other words"
            f" {percent(row['other_words'])}."
        )
    return [row["text"], f"Right answer: {row['answer'].strip()}.", *found]


def path(run: Result) -> pd.DataFrame:
    """Share solved along training, a curve for each kind of puzzle."""
    table = run.tables["path"]
    names = {
        (TRAINED, ORIGINAL): "trained", (FRESH, ORIGINAL): "fresh",
        (TRAINED, BOTH): "trained, changed", (TRAINED, "names"): "trained, other names",
    }  # fmt: skip
    curve = [names.get((of, version), "") for of, version in
             zip(table["of"], table["version"], strict=True)]  # fmt: skip
    rows = table.assign(curve=curve, step=1 + table["step"])
    return rows[rows["curve"] != ""]


def path_limem(run: Result) -> pd.DataFrame:
    """LiMem along training, of trained and fresh puzzles, and what chance gives of the trained."""
    table = run.tables["path_limem"]
    rows = table.assign(step=1 + table["step"])[["step", "of", "limem", "low", "high"]]
    own = table[table["of"] == TRAINED]
    chance = pd.DataFrame({"step": 1 + own["step"], "of": "by chance", "limem": own["null"],
                           "low": own["null"], "high": own["null"]})  # fmt: skip
    return pd.concat([rows, chance], ignore_index=True)
