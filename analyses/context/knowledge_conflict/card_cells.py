"""What a run puts on the evaluation card of its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.measures.statistics import wilson
from workbench.evaluation_card import CardCell, cell_of
from workbench.wording import percent

if TYPE_CHECKING:
    from workbench.result import Result


def card(run: Result) -> list[CardCell]:
    """What it knows without context, what it follows, and what heads decide."""
    cells = []
    if known := run.findings.get("known"):
        right, n = int(known.values["value"]), int(known.values["candidates"])
        low, high = wilson(right, n)
        cells.append(CardCell("knows", right / n, "share of facts",
                              f"{right} of {n} facts are known without context", low=low, high=high,
                              null=1 / n, beside="a guess among the answers"))  # fmt: skip
    if base := run.findings.get("base"):
        memory, context = base.values["memory"], base.values["context"]
        says = (
            f"Where the context contradicts it, it answers {percent(memory)} from memory and"
            f" {percent(context)} from the context"
        )
        cells.append(cell_of("memory-or-context", base, "memory", "share from memory", says))
    off, random = run.findings.get("prune_context"), run.findings.get("random_for_context")
    if off and random:
        says = (
            f"With its context heads off it answers {percent(off.values['memory'])} from memory, on"
            " facts that did not choose them"
        )
        null = random.values["memory"]
        cells.append(cell_of("where", off, "memory", "share from memory", says, null=null,
                             beside="as many random heads off"))  # fmt: skip
    return cells
