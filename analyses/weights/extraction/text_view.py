"""One window as text, and one document with its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from analyses.weights.extraction import documents as verdicts
from analyses.weights.extraction.scored_windows import counted_as, in_tokens
from workbench import draw
from workbench.draw import colour, passage

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
    """What greedy decoding says after the prefix, beside what the text says."""
    row = run.tables["windows"].set_index("window").loc[window]
    match, length = row["prefix_match"], int(run.params.get("suffix", 0))
    if bool(row["exact"]):
        return draw.paragraph(
            f"From the given text the model says the rest token for token: all {match}."
        )
    run_of = row.get("longest_run", 0)
    inside = f" Given the text, the longest run that it says is {run_of}." if run_of > match else ""
    first = (
        f"{match} of {length} tokens, then goes elsewhere" if match else f"none of {length} tokens"
    )
    head = draw.paragraph(f"The model says {first}.{inside} What it says instead:")
    said = row.get("generated")
    if not isinstance(said, str) or row["memorization_score"] != row["memorization_score"]:
        how = (
            "Its continuation was not decoded in this run (the parameter decode sets how many are)."
        )
        return head + draw.paragraph(how, small=True)
    tries = (
        f"{row['queries_needed']:,.0f} samples for an even chance"
        if row["queries_needed"] < 1e12
        else "no number of samples worth trying"
    )
    numbers = (
        f"Memorization score {row['memorization_score']:.2f}, edit distance"
        f" {100 * row['edit_distance']:.0f} % of the tokens, longest common substring"
        f" {row['lcs_chars']:.0f} characters; {tries}."
    )
    return head + passage.quoted(said) + draw.paragraph(numbers, small=True)


def verdict(row: dict[str, Any], suffix: int) -> Markup:
    """One document: what is said of it, the longest piece that comes out, and what was counted."""
    shown = "shows no sign of it" if row["verdict"] == verdicts.NOTHING else row["verdict"]
    evidence = (
        passage.quoted(row["evidence"])
        if row.get("longest_run", row["longest_prefix_match"]) >= _SOME
        else ""
    )
    counted = (
        f"Longest prefix match: {row['longest_prefix_match']} of {in_tokens(suffix)}."
        f" {row['n_exact']} of {counted_as(row['n_windows'], 'passage')} are reproduced in full. Of"
        f" all tested tokens {100 * row['prefix_match_share']:.1f} % are reproduced from the start"
        " of a passage."
    )
    if row["n_repetitive"]:
        share = f"{100 * verdicts.VARIED:.0f} %"
        counted += f" In {row['n_repetitive']} under {share} of the tokens are distinct."
    return Markup(
        '<section class="wb-verdict" style="border-left-color:{}"><h3>{}</h3>{}{}{}</section>'
    ).format(
        _VERDICTS.get(row["verdict"], colour.OTHER),
        row["name"],
        draw.paragraph(f"The model {shown}. {row.get('explanation', '')}"),
        evidence,
        draw.paragraph(counted, small=True),
    )
