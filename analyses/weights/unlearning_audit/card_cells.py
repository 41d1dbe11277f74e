"""What a run puts on the evaluation card of its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.evaluation_card import CardCell, cell_of

if TYPE_CHECKING:
    from workbench.result import Result


def card(run: Result) -> list[CardCell]:
    """How much is left of what was to be forgotten, by the method that leaves least."""
    left = run.findings.get("left")
    if not left:
        return []
    best = min(left.values, key=left.values.__getitem__)
    says = f"After {best}, {left.values[best]:.0f} points more of the tokens are its first choice"
    says += " than if it had never read them"
    return [cell_of("forgets-on-request", left, best, "points of first choice", says, null=0.0,
                    beside="a model that never read them")]  # fmt: skip
