"""What is looked at of a run: the chosen text and memory, the chosen fact."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result
    from workbench.views import Pick

_WORDS = 60  # characters of a text in a list


def texts(run: Result) -> dict[str, int]:
    """Texts by their words."""
    table = run.tables["tokens"]
    found = {}
    for number, rows in table.groupby("text"):
        words = "".join(rows["token"]).strip()
        found[f"{number}. {words[:_WORDS]}"] = int(str(number))
    return found


def memories(run: Result) -> list[str]:
    """Memories that were read, in order of their layers."""
    return list(dict.fromkeys(run.tables["reads"]["memory"]))


def raster(run: Result, pick: Pick) -> tuple[pd.DataFrame, list[str]]:
    """(events of the chosen text and memory, its tokens)."""
    text = int(pick["text"])
    events = run.tables["reads"]
    chosen = events[(events["text"] == text) & (events["memory"] == pick["memory"])]
    tokens = run.tables["tokens"]
    return chosen, list(tokens.loc[tokens["text"] == text, "token"])


def facts(run: Result) -> dict[str, int]:
    """Facts by their words."""
    return {
        f"{row.fact}. {row.prompt} {row.answer}": int(row.fact)
        for row in run.tables["facts"].itertuples()
    }


def fact(run: Result, pick: Pick) -> int:
    """The chosen fact; the first one where a link names one that is not there."""
    chosen = pick.selection.prompt
    return chosen if chosen < len(run.tables["facts"]) else 0


def slots(run: Result, pick: Pick) -> pd.DataFrame:
    """The slots of the chosen fact."""
    table = run.tables["slots"]
    return table[table["fact"] == fact(run, pick)].drop(columns=["fact", "slot"])


def usage(run: Result) -> pd.DataFrame:
    """The busiest slots' curve, on axes of powers of ten from 1 on."""
    table = run.tables["ranked"]
    return table[table["facts"] > 0].assign(which="slots")
