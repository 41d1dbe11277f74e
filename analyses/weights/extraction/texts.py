"""The texts of an extraction run as markup: one window, what is generated for it, one document."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from analyses.measures import document_verdicts as verdicts
from analyses.weights.extraction import selections as sel
from workbench import draw
from workbench.draw import colour, passage
from workbench.result import Result

_CARDS = 12
_SURE = (verdicts.RECITES, verdicts.PARTS)
_VERDICTS = dict.fromkeys(verdicts.PROVES, colour.FUNCTION) | dict.fromkeys(_SURE, colour.MEMORY)
_VERDICTS[verdicts.NOTHING] = colour.OTHER


def strip(run: Result, window: int) -> Markup:
    """One window: its text, coloured by how probable each token was, what matched marked."""
    tokens, row = sel.tokens(run, window), sel.window(run, window)
    if tokens.empty:
        return draw.empty_state(
            "Of this window the tokens were not kept, only the numbers.",
            "The longest matches of each group have them.",
        )
    read = passage.times_read(row.get("repeats"))
    return passage.strip(tokens, title=f"{row['name']}, {read}" if read else str(row["name"]))


def greedy(run: Result, window: int) -> Markup:
    """What greedy decoding generates after the prefix, where that is not the suffix."""
    reproduced = draw.paragraph(sel.reproduced(run, window))
    if sel.window(run, window)["exact"]:
        return reproduced
    generated, numbers = sel.continuation(run, window)
    quoted = passage.quoted(generated) if generated else ""
    return reproduced + quoted + draw.paragraph(numbers, small=True)


def verdict(row: dict[str, Any], suffix: int) -> Markup:
    """One document: what is said of it, the longest piece that comes out, and what was counted."""
    return passage.boxed(
        row["name"],
        _VERDICTS.get(row["verdict"], colour.OTHER),
        draw.paragraph(sel.verdict(row)),
        passage.quoted(row["evidence"]) if sel.has_evidence(row) else Markup(""),
        draw.paragraph(verdicts.counts(row, suffix), small=True),
    )


def document_cards(run: Result) -> list[Any]:
    """The first documents as cards, and how many more the table has."""
    table, suffix = run.tables["documents"], run.params.get("suffix", 0)
    cards = [verdict(row, suffix) for row in table.head(_CARDS).to_dict("records")]
    more = f"{len(table) - _CARDS} more are in the table." if len(table) > _CARDS else ""
    return [Markup("").join(cards), *([more] if more else [])]
