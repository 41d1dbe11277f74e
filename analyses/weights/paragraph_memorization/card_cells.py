"""What a run puts on the evaluation card of its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.evaluation_card import CardCell, cell_of

if TYPE_CHECKING:
    from workbench.result import Result


def card(run: Result) -> list[CardCell]:
    """Whether few heads hold what it recites."""
    heads = run.findings.get("heads")
    if not heads:
        return []
    found = heads.values
    says = (
        f"With a few heads off {found['after']:.0f} of {found['before']:.0f} tokens of recited"
        " passages still come, on passages that did not choose them"
    )
    return [cell_of("where", heads, "after", "tokens", says, null=found["random_median"],
                    beside="as many random heads off")]  # fmt: skip
