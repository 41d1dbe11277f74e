"""What a run puts on the evaluation card of its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.training.forgetting.constants import NEUTRAL
from workbench.evaluation_card import CardCell, cell_of

if TYPE_CHECKING:
    from workbench.result import Result


def card(run: Result) -> list[CardCell]:
    """What a short fine-tuning costs."""
    cost = run.findings.get("cost")
    if not cost:
        return []
    says = f"Fine-tuning moves it {cost.values[NEUTRAL]:.3f} nats per token away on neutral text"
    return [cell_of("forgets-by-training", cost, NEUTRAL, "nats per token", says, null=0.0,
                    beside="no training")]  # fmt: skip
