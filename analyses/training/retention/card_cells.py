"""What a run puts on the evaluation card of its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.evaluation_card import CardCell, cell_of

if TYPE_CHECKING:
    from workbench.result import Result


def card(run: Result) -> list[CardCell]:
    """What is left of a reading long after it."""
    cells = []
    if late := run.findings.get("late_against_early"):
        by = late.values["value"]
        says = f"Read late, a text is {by:+.2f} nats per token likelier than read early"
        cells.append(cell_of("keeps", late, "value", "nats per token", says, null=0.0,
                             beside="when it was read does not matter"))  # fmt: skip
    return cells
