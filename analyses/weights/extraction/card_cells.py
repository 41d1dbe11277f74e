"""What a run puts on the evaluation card of its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.evaluation_card import CardCell, cell_of
from workbench.wording import percent

if TYPE_CHECKING:
    from workbench.result import Result

_SCORE = "min-k++"


def card(run: Result) -> list[CardCell]:
    """Whether the model recites, and whether what it has read can be told."""
    cells = []
    if greedy := run.findings.get("greedy"):
        never, found = run.findings.get("nonmembers"), greedy.values
        says = f"{int(found['extracted'])} of {int(found['n']):,} passages come out word for word"
        null = never.values["rate"] if never else float("nan")
        cells.append(cell_of("recites", greedy, "rate", "share of passages", says, null=null,
                             beside="passages it never read" if never else ""))  # fmt: skip
    if told := run.findings.get("membership"):
        # One score, named before: the best of several would be above a coin by choice.
        score = _SCORE if _SCORE in told.values else next(iter(told.values))
        says = (
            f"{score} puts a passage that it read above one that it did not in"
            f" {percent(told.values[score])} of pairs"
        )
        cells.append(cell_of("seen", told, score, "AUC", says, null=0.5, beside="a coin"))
    return cells
