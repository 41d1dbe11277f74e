"""What an analysis gives to the evaluation card of a model: cells for its rows.

The card itself is made by `analyses.card.evaluation_card`, from runs that exist. It knows no
analysis: each says by itself, in its attribute `card`, what a finished run of it puts on the card,
so one of a third party fills a row, or adds one, in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from workbench.result import Finding

Setting = Literal["parametric only", "offline evidence"]
PARAMETRIC: Setting = "parametric only"
OFFLINE: Setting = "offline evidence"
"""What the model has when it answers: its weights alone, or a fixed text as well (Zhang et al.
2025). Live sources are outside of what the workbench measures.
"""


@dataclass(frozen=True)
class CardRow:
    """A row of the card.

    Attributes:
        name: as cells name it.
        asks: the question, as a person reads it.
        made_by: the analysis whose default run fills it.
        needs: what such a run must be given, in a few words; "" where nothing.
    """

    name: str
    asks: str
    setting: Setting
    made_by: str
    needs: str = ""


_READ = "texts that it is known to have read (an organism, a planted copy, your own documents)"
_STEPS = "kept steps of its training"
ROWS = (
    CardRow("recites", "Does it recite?", PARAMETRIC, "extraction", _READ),
    CardRow("knows", "Does it know facts?", PARAMETRIC, "knowledge-conflict"),
    CardRow("seen", "Can one tell what it has read?", PARAMETRIC, "extraction", _READ),
    CardRow("memory-or-context", "Memory or context?", OFFLINE, "knowledge-conflict"),
    CardRow("position", "Does the middle of a prompt get lost?", OFFLINE, "context-recall"),
    CardRow("solved", "Memorized or solved?", PARAMETRIC, "memorized-or-understood"),
    CardRow("editable", "Can a fact be changed?", PARAMETRIC, "edit-ledger"),
    CardRow(
        "forgets-on-request", "Does it forget on request?", PARAMETRIC, "unlearning-audit", _READ
    ),
    CardRow("forgets-by-training", "What does further training cost?", PARAMETRIC, "forgetting"),
    CardRow("keeps", "How long does it keep what it read?", PARAMETRIC, "retention", _STEPS),
    CardRow("where", "Where does that sit?", PARAMETRIC, "paragraph-memorization"),
)


@dataclass(frozen=True)
class CardCell:
    """What one run says for one row: a number beside its null.

    Attributes:
        row: the row's name.
        value: in `unit`; low, high: its 95 % interval.
        null: what the same measure gives where there is nothing to find; NaN where there is none.
        beside: what the null is, in a few words.
        says: the number in a sentence of a few words.
    """

    row: str
    value: float
    unit: str
    says: str
    low: float = field(default=float("nan"), kw_only=True)
    high: float = field(default=float("nan"), kw_only=True)
    null: float = field(default=float("nan"), kw_only=True)
    beside: str = field(default="", kw_only=True)


def cell_of(
    row: str,
    finding: Finding,
    key: str,
    unit: str,
    says: str,
    *,
    null: float = float("nan"),
    beside: str = "",
) -> CardCell:
    """A cell of one number of a finding, with that number's interval.

    Args:
        key: the number's name; "value" where there is only one.
    """
    given = finding.interval
    pair = given.get(key) if isinstance(given, Mapping) else given
    low, high = pair or (float("nan"), float("nan"))
    return CardCell(row, finding.values[key], unit, says, low=float(low), high=float(high),
                    null=null, beside=beside)  # fmt: skip
