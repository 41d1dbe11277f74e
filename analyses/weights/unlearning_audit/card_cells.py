"""What a run puts on the evaluation card of its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.evaluation_card import CardCell, cell_of

if TYPE_CHECKING:
    from workbench.result import Result

_METHOD = "NPO"


def card(run: Result) -> list[CardCell]:
    """How much is left of what was to be forgotten, by NPO where it was tried."""
    left = run.findings.get("left")
    if not left:
        return []
    # One method, named before: the least of several would be so by choice.
    method = _METHOD if _METHOD in left.values else next(iter(left.values))
    says = f"After {method}, {left.values[method]:.0f} points more of the tokens are first choice"
    says += " than if it had never read them"
    return [cell_of("forgets-on-request", left, method, "points of first choice", says, null=0.0,
                    beside="a model that never read them")]  # fmt: skip
