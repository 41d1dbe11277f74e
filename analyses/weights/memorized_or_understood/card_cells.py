"""What a run puts on the evaluation card of its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.evaluation_card import CardCell, cell_of
from workbench.wording import percent

if TYPE_CHECKING:
    from workbench.result import Result


def card(run: Result) -> list[CardCell]:
    """LiMem on what was read against fresh puzzles; of a model of which nobody knows what it read,
    what other words cost.
    """
    limem, variants = run.findings.get("limem"), run.findings.get("item_variants")
    if limem is not None and "apart" in limem.values:
        says = (
            f"{percent(limem.values['trained'])} of puzzles it has read are solved with changed"
            f" copies that are not, and {percent(limem.values['fresh'])} of fresh ones"
        )
        return [cell_of("solved", limem, "apart", "LiMem, read less fresh", says, null=0.0,
                        beside="fresh puzzles")]  # fmt: skip
    if variants is not None and "paraphrased" in variants.values:
        by = variants.values["paraphrased"]
        says = (
            f"In other words {abs(100 * by):.0f} points {'more' if by < 0 else 'fewer'} items are"
            " answered"
        )
        return [cell_of("solved", variants, "paraphrased", "share of items", says, null=0.0,
                        beside="wording does not matter")]  # fmt: skip
    return []
