"""What of a run's tables one picture or table shows, and what is looked at before a choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.document_verdicts import NOTHING
from analyses.weights.extraction import schema
from workbench.draw.passage import times_read
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result
    from workbench.views import Pick

_WINDOWS = [
    *("window", "name", "kind", "repeats", "timing", "prefix_match", "exact", "queries_needed"),
    *("loss", "memorization_score", "edit_distance", "suffix", "generated"),
]
_SHOWN = 5
"""Tokens; a shorter run is no evidence worth reading."""
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


def window(run: Result, number: int) -> pd.Series:
    return run.tables["windows"].set_index("window").loc[number]


def tokens(run: Result, number: int) -> pd.DataFrame:
    """The tokens of a window, which of them were reproduced (is_greedy) and how probable each was
    (p); no rows where they were not kept.
    """
    table = run.tables["tokens"]
    rows = table[table["window"] == number].sort_values("pos")
    suffix = rows["part"] == "suffix"
    match = window(run, number)["prefix_match"]
    is_greedy = suffix & (rows["pos"] < rows["pos"][suffix].min() + match)
    if "is_greedy" in rows:  # not by their text: two tokens that are parts of characters look alike
        is_greedy |= rows["is_greedy"]
    return rows.assign(is_greedy=is_greedy, p=np.exp(rows["logprob"]))


def reproduced(run: Result, number: int) -> str:
    """How much of a window's suffix greedy decoding reproduces, in words."""
    row = window(run, number)
    match, longest = row["prefix_match"], row.get("longest_run", 0)
    if bool(row["exact"]):
        return f"Greedy decoding reproduces the suffix in full: {counted(match, 'token')}."
    inside = ""
    if longest > match:
        inside = f" The longest run inside the suffix is {counted(longest, 'token')}."
    length = counted(int(run.params.get("suffix", 0)), "token")
    return f"Greedy decoding reproduces {match} of {length}.{inside} Its continuation:"


def continuation(run: Result, number: int) -> tuple[str, str]:
    """What greedy decoding generates after a window's prefix ("" where it was not decoded), and how
    near that comes to the suffix, in words.
    """
    row = window(run, number)
    generated = row.get("generated")
    if not isinstance(generated, str) or row["memorization_score"] != row["memorization_score"]:
        why = "It was not decoded in this run: the parameter decode sets how many windows are."
        return "", why
    queries = (
        f"{row['queries_needed']:,.0f} samples contain the suffix with probability one half"
        if row["queries_needed"] < 1e12
        else "no realistic number of samples contains the suffix"
    )
    return generated, (
        f"Memorization score {row['memorization_score']:.2f}, edit distance"
        f" {percent(row['edit_distance'])} of the tokens, longest common substring"
        f" {row['lcs_chars']:.0f} characters; {queries}."
    )


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


def verdict(row: Mapping[str, Any]) -> str:
    """The verdict on a document and why, in sentences.

    Args:
        row: of the table `documents`.
    """
    shown = f"shows {NOTHING}" if row["verdict"] == NOTHING else row["verdict"]
    return f"The model {shown}. {row.get('explanation', '')}"


def has_evidence(row: Mapping[str, Any]) -> bool:
    """Whether the longest run of a document, a row of `documents`, is worth reading."""
    return bool(row.get("longest_run", row["longest_prefix_match"]) >= _SHOWN)


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


def extraction_paths(run: Result) -> str:
    """What the rates count, in words."""
    return schema.EXTRACTED.format(samples=run.params.get("tries", 0))


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


def extracted_by_queries(run: Result) -> pd.DataFrame:
    """Shares of windows by samples, with the title of the windows they are of."""
    table = run.tables["extraction_by_queries"]
    titles = {
        group: f"Extracted within n samples{'' if group == 'all' else f': {group}'} (%)"
        for group in table["group"].unique()
    }
    return table.assign(
        title=table["group"].map(titles),
        curve=[f"probability {p:g}" for p in table["probability"]],
    )


def sampling_limits(run: Result) -> tuple[float, float]:
    """The axis of all pictures of sampling, in percent."""
    table = run.tables["extraction_by_queries"]
    top = min(100.0, 125 * max(table["rate"].max(), table["greedy_rate"].max(), 0.04))
    return -0.03 * top, 1.03 * top


def no_membership(run: Result) -> str:
    """Why members cannot be told from others."""
    if "membership" not in run.params.get("parts", ["membership"]):
        return "the part 'membership' was not run"
    return "it is not known how often each text was read, and which never were"


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


def _most_read(table: pd.DataFrame) -> str:
    """The group of a table that was read most often; all where that is not known."""
    known = [group for group in table["group"].unique() if group != "all"]
    return max(known, key=lambda group: int(group[:-1]), default="all")


def access(run: Result) -> pd.DataFrame:
    """Tokens recited by start and context, of the passages read most often and of those never
    read; of all where that is not known.
    """
    table = run.tables["access"]
    titles = {group: f"Tokens recited, {_passages(group)}" for group in ("0×", _most_read(table))}
    chosen = table[table["group"].isin(titles)].sort_values(
        ["context_length", "start"], kind="stable"
    )
    order = list(reversed(titles))
    chosen = chosen.assign(context=chosen["context_length"], title=chosen["group"].map(titles))
    return chosen.sort_values("group", key=lambda groups: groups.map(order.index), kind="stable")


def _passages(group: str) -> str:
    return "all passages" if group == "all" else f"passages {times_read(int(group[:-1]))}"


def most_recited(run: Result) -> float:
    """Where the colours of all pictures of access end; none is darker for knowing less."""
    return max(1.0, float(access(run)["recited"].max()))


def access_curve(run: Result) -> pd.DataFrame:
    """Along the context, by where it begins, as means of `schema.AROUND` tokens: of the passages
    read most often, and of those never read from their beginning.
    """
    import pandas as pd

    table = run.tables["access_curve"]
    group = _most_read(table)
    mine = table[table["group"] == group]
    never = table[(table["group"] == "0×") & (table["start"] == 0)] if group != "0×" else mine[:0]
    begun = [f"start {start}" for start in mine["start"]]
    both = pd.concat([mine.assign(begun=begun), never.assign(begun="never read")])
    smooth = both.groupby("begun", sort=False)["logprob"].transform(
        lambda each: each.rolling(schema.AROUND, center=True, min_periods=1).mean()
    )
    return both.assign(logprob=smooth)
