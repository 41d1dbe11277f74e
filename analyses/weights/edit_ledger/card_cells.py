"""What a run puts on the evaluation card of its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.weights.edit_ledger.constants import METHODS
from workbench.evaluation_card import CardCell
from workbench.wording import percent

if TYPE_CHECKING:
    from workbench.result import Result

_METHOD = METHODS["r-rome"]
_NULLS = (METHODS["none"], METHODS["random-layer"])


def card(run: Result) -> list[CardCell]:
    """Whether an edited fact holds in other words."""
    table = run.tables.get("methods")
    if table is None:
        return []
    rows = table.set_index("method")
    edits = rows.loc[[name for name in rows.index if name not in _NULLS], "in_other_words"].dropna()
    if not len(edits):
        return []
    # The default method where it was asked: the best of several would be so by choice.
    method = _METHOD if _METHOD in edits.index else str(edits.index[0])
    row, nulls = rows.loc[method], [name for name in _NULLS if name in rows.index]
    null = float(rows.loc[nulls, "in_other_words"].max()) if nulls else float("nan")
    says = f"{method} holds in {percent(row['in_other_words'])} of wordings that it never saw"
    return [CardCell(
        "editable", float(row["in_other_words"]), "share of questions", says,
        low=float(row["in_other_words_low"]), high=float(row["in_other_words_high"]),
        null=null, beside="no edit, or one in a random layer" if nulls else "",
    )]  # fmt: skip
