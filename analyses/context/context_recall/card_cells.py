"""What a run puts on the evaluation card of its model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from workbench.evaluation_card import CardCell

if TYPE_CHECKING:
    from workbench.result import Finding, Result


def card(run: Result) -> list[CardCell]:
    """Whether the middle of a list is recalled less than its ends."""
    first, last = run.findings.get("primacy"), run.findings.get("recency")
    if not first or not last:
        return []
    drop = (first.values["value"] + last.values["value"]) / 2
    spread = math.hypot(*(_half_width(each) / 2 for each in (first, last)))
    says = f"The ends of a list are recalled {100 * drop:+.0f} points better than its middle"
    return [CardCell("position", drop, "share of pairs", says, low=drop - spread,
                     high=drop + spread, null=0.0, beside="no place is better")]  # fmt: skip


def _half_width(finding: Finding) -> float:
    low, high = finding.interval or (math.nan, math.nan)
    return (float(high) - float(low)) / 2
