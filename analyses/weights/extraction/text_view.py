"""One window as text, and one document with its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from analyses.weights.extraction import documents as verdicts
from analyses.weights.extraction.scored_windows import in_tokens
from workbench import draw
from workbench.draw import colour, passage
from workbench.wording import counted

if TYPE_CHECKING:
    from workbench.result import Result

_VERDICTS = {
    verdicts.RECITES: colour.MEMORY,
    verdicts.PARTS: colour.MEMORY,
    verdicts.SAMPLED: colour.FUNCTION,
    verdicts.PATTERN: colour.FUNCTION,
    verdicts.SHORT: colour.FUNCTION,
}
_SOME = 5  # tokens; a shorter run is no evidence worth reading


def strip(run: Result, window: int) -> Markup:
    """One window: its text, coloured by how probable each token was, what matched marked."""
    tokens = run.tables["tokens"]
    rows = tokens[tokens["window"] == window].sort_values("pos")
    row = run.tables["windows"].set_index("window").loc[window]
    if rows.empty:
        return draw.empty_state(
            "Of this window the tokens were not kept, only the numbers.",
            "The longest matches of each group have them.",
        )
    suffix = rows["part"] == "suffix"
    said = suffix & (rows["pos"] < rows["pos"][suffix].min() + row["prefix_match"])
    if "is_greedy" in rows:  # not by their text: two tokens that are parts of characters look alike
        said |= rows["is_greedy"]
    read = passage.times_read(row.get("repeats"))
    return passage.strip(
        rows.assign(is_greedy=said, p=np.exp(rows["logprob"])),
        title=f"{row['name']}, {read}" if read else str(row["name"]),
    )


def greedy(run: Result, window: int) -> Markup:
    """What greedy decoding generates after the prefix, beside the suffix."""
    row = run.tables["windows"].set_index("window").loc[window]
    match, length = row["prefix_match"], int(run.params.get("suffix", 0))
    if bool(row["exact"]):
        return draw.paragraph(f"Greedy decoding reproduces the suffix in full: {in_tokens(match)}.")
    run_of = row.get("longest_run", 0)
    inside = f" The longest run inside the suffix is {in_tokens(run_of)}." if run_of > match else ""
    head = draw.paragraph(
        f"Greedy decoding reproduces {match} of {in_tokens(length)}.{inside} Its continuation:"
    )
    said = row.get("generated")
    if not isinstance(said, str) or row["memorization_score"] != row["memorization_score"]:
        how = "It was not decoded in this run: the parameter decode sets how many windows are."
        return head + draw.paragraph(how, small=True)
    tries = (
        f"{row['queries_needed']:,.0f} samples contain the suffix with probability one half"
        if row["queries_needed"] < 1e12
        else "no realistic number of samples contains the suffix"
    )
    numbers = (
        f"Memorization score {row['memorization_score']:.2f}, edit distance"
        f" {100 * row['edit_distance']:.0f} % of the tokens, longest common substring"
        f" {row['lcs_chars']:.0f} characters; {tries}."
    )
    return head + passage.quoted(said) + draw.paragraph(numbers, small=True)


def verdict(row: dict[str, Any], suffix: int) -> Markup:
    """One document: what is said of it, the longest piece that comes out, and what was counted."""
    shown = f"shows {verdicts.NOTHING}" if row["verdict"] == verdicts.NOTHING else row["verdict"]
    evidence = (
        passage.quoted(row["evidence"])
        if row.get("longest_run", row["longest_prefix_match"]) >= _SOME
        else ""
    )
    numbers = (
        f"Longest prefix match: {row['longest_prefix_match']} of {in_tokens(suffix)}."
        f" {row['n_exact']} of {counted(row['n_windows'], 'passage')} are reproduced in full. Of"
        f" all tested tokens {100 * row['prefix_match_share']:.1f} % are reproduced from the start"
        " of a passage."
    )
    if row["n_repetitive"]:
        share = f"{100 * verdicts.VARIED:.0f} %"
        numbers += f" In {row['n_repetitive']} under {share} of the tokens are distinct."
    return Markup(
        '<section class="wb-verdict" style="border-left-color:{}"><h3>{}</h3>{}{}{}</section>'
    ).format(
        _VERDICTS.get(row["verdict"], colour.OTHER),
        row["name"],
        draw.paragraph(f"The model {shown}. {row.get('explanation', '')}"),
        evidence,
        draw.paragraph(numbers, small=True),
    )
