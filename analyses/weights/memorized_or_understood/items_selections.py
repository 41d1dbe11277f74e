"""What is looked at of the part `items`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analyses.weights.memorized_or_understood.constants import ALL, CLEAN, MODEL, UNTRAINED
from workbench.draw import colour
from workbench.wording import percent

if TYPE_CHECKING:
    from workbench.result import Result
    from workbench.views import Pick

_LETTERS = {"chosen": "chosen", "same": "all the same", "right": "right"}

_HUES = {
    MODEL: colour.MEMORY, CLEAN: colour.CONTEXT, UNTRAINED: colour.OTHER,
    "by chance": colour.BLUE_STROKE,
}  # fmt: skip
SHORTCUT_HUES = {MODEL: colour.MEMORY, "by chance": colour.BLUE_STROKE}


def hues_of_rates(run: Result) -> dict[str, str]:
    """Of those that there are, for a legend without gaps."""
    there = set(rates(run)["model"])
    return {who: hue for who, hue in _HUES.items() if who in there}


def _in_percent(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(
        mean=100 * rows["rate"], low=100 * rows["low"], high=100 * rows["high"]
    ).reset_index(drop=True)


def rates(run: Result) -> pd.DataFrame:
    """Share answered rightly by version, of all who were asked, and what guessing gives."""
    table = run.tables["item_rates"]
    rows = _in_percent(table[table["family"] == ALL])
    own = rows[rows["model"] == MODEL]
    base = 100 * own["chance"]
    return pd.concat(
        [rows, own.assign(model="by chance", mean=base, low=base, high=base)], ignore_index=True
    )


def families(run: Result) -> pd.DataFrame:
    """The same of the model by family."""
    table = run.tables["item_rates"]
    rows = table[(table["model"] == MODEL) & (table["family"] != ALL)]
    return _in_percent(rows if len(rows) else table[table["model"] == MODEL])


def shortcuts(run: Result) -> pd.DataFrame:
    """By what is shown, beside the commonest place or guessing."""
    rows = _in_percent(run.tables["shortcuts"]).assign(of=MODEL)
    base = 100 * rows[["chance", "majority"]].max(axis=1)
    return pd.concat(
        [rows, rows.assign(of="by chance", mean=base, low=base, high=base)], ignore_index=True
    )


def letters(run: Result) -> pd.DataFrame:
    """Letters by what is counted, in percent."""
    long = run.tables["letters"].melt("letter", list(_LETTERS), "share of", "share")
    long["share of"] = long["share of"].map(_LETTERS)
    return long.assign(share=100 * long["share"])


def items(run: Result) -> dict[str, int]:
    """The items by name."""
    table = run.tables["items"].drop_duplicates("item")
    return {f"{row.item}: {row.name_}": int(row.item)
            for row in table.rename(columns={"name": "name_"}).itertuples()}  # fmt: skip


def first_item(run: Result, pick: Pick) -> int:
    """One that is right as it stands and wrong in a version, if there is any."""
    table, chosen = run.tables["items"], pick.selection.prompt
    if chosen is not None and chosen in set(table["item"]):
        return chosen
    right = table.groupby("item")["right"].agg(["first", "all"])
    telling = right.index[right["first"] & ~right["all"]]
    return int(telling[0] if len(telling) else table["item"].iloc[0])


def item_in_words(run: Result, pick: Pick) -> str:
    """How an item went, in a sentence."""
    rows = versions(run, pick)
    own = rows.iloc[0]
    went = "rightly" if own["right"] else f"wrongly, with {own['chosen']},"
    others = rows.iloc[1:]
    return (
        f"“{own['question']}” is answered {went} as it stands (the right answer {own['answer']} has"
        f" {percent(own['p'])} among the options); of its {len(others)} versions"
        f" {int(others['right'].sum())} are right."
    )


def versions(run: Result, pick: Pick) -> pd.DataFrame:
    """The versions of the chosen item."""
    table = run.tables["items"]
    columns = ["version", "question", "answer", "chosen", "right", "p", "options"]
    return table[table["item"] == pick["prompt"]][columns].reset_index(drop=True)
