"""What of a run's tables one picture or table shows, and what is looked at before a choice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.draw.passage import times_read

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result
    from workbench.views import Pick

_WINDOWS = [
    *("window", "name", "kind", "repeats", "timing", "prefix_match", "exact", "queries_needed"),
    *("loss", "memorization_score", "edit_distance", "suffix", "generated"),
]
MODELS = {
    "both": "both models",
    "only_this_model": "this model only",
    "only_reference": "reference only",
}
"""Columns of `overlap`, in words."""


def windows(run: Result) -> pd.DataFrame:
    """As a person looks for them: the longest matches first."""
    table = run.tables["windows"].sort_values(["prefix_match", "window"], ascending=[False, True])
    return table[[c for c in _WINDOWS if c in table]].reset_index(drop=True)


def chosen_window(run: Result, pick: Pick) -> int:
    """The chosen window; at first the longest match, which is what one came to see."""
    chosen, table = pick.selection.prompt, windows(run)
    return chosen if chosen and chosen in set(table["window"]) else int(table["window"].iloc[0])


def worth_reading(run: Result) -> list[dict[str, Any]]:
    """The best window of each number of repeats, else the four best."""
    table = windows(run)
    if "repeats" not in table or table["repeats"].isna().any():
        table = table.head(4)
    else:
        best = table.groupby("repeats", sort=True).head(1)
        table = best.sort_values("repeats", ascending=False).head(8)
    return [{"prompt": int(window)} for window in table["window"]]


def documents(run: Result) -> pd.DataFrame:
    """The verdicts in the columns a person compares."""
    return run.tables["documents"].drop(columns=["window", "explanation"], errors="ignore")


def by_text(run: Result) -> pd.DataFrame | None:
    """Rates of the texts, the highest first, where it is not known how often they were read."""
    rates = run.tables["rates"]
    return None if "repeats" in rates else rates.sort_values("exact", ascending=False).head(20)


def by_repeats(run: Result) -> pd.DataFrame | None:
    """Rates by how often a text was read, over all kinds and for each."""
    rates = run.tables["rates"]
    if "repeats" not in rates:
        return None
    return rates.assign(read=[times_read(n) for n in rates["repeats"]])


def of_all_kinds(run: Result) -> pd.DataFrame | None:
    rates = by_repeats(run)
    return None if rates is None else rates[rates["kind"] == "all"]


def _single(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows of single groups; of all together where there are no others."""
    single = table[table[column] != "all"]
    return table if single.empty else single


def context(run: Result) -> pd.DataFrame:
    """After more or less text, by how often a text was read."""
    return _single(run.tables["context"], "group")


def membership(run: Result) -> pd.DataFrame:
    """How well each score tells texts that were read, by how often."""
    each = run.tables["membership"].query("repeats != 'all'")
    return each.assign(repeats=each["repeats"].astype(int))


def overlap(run: Result) -> pd.DataFrame:
    """Shares of the windows that both models or one of them say."""
    table = run.tables["overlap"]
    return table.assign(**{word: table[count] / table["n"] for count, word in MODELS.items()})


def checkpoints(run: Result) -> pd.DataFrame:
    """Along training, by how often a text is read in all."""
    table = run.tables["checkpoints"]
    rows = _single(table[table["timing"] == "all"], "repeats")
    return rows.assign(read=[n if n == "all" else f"{n}×" for n in rows["repeats"]])


def by_timing(run: Result) -> pd.DataFrame | None:
    """Along training, the texts that are read most often, by when; None where that is one time."""
    table = run.tables["checkpoints"]
    counts = table.loc[table["repeats"] != "all", "repeats"].astype(int)
    timed = table[(table["repeats"] == str(counts.max())) & (table["timing"] != "all")]
    return timed.assign(when="read " + timed["timing"]) if timed["timing"].nunique() > 1 else None
