"""Of each kind of material: how many come out, how many of its control, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from analyses.measures.document_verdicts import PARTS, RECITES, SAMPLED
from analyses.measures.statistics import rates_apart, wilson
from analyses.weights.audit.constants import (
    DOCUMENTS,
    FACTS,
    GIVES,
    ITEMS,
    NO_CONTROL,
    NO_SIGN,
    NOTHING_ASKED,
    PERSONAL,
    SLIGHT,
)
from workbench.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

_COMES_OUT = (RECITES, PARTS)
_FEW = 0.05
"""Share up to which it is a little that comes out."""
_PAIR = 2
"""Options of which one alone stands before the last: they have no other order."""
_RARE = 0.025
"""How seldom chance alone may like the printed order in so many items."""

COLUMNS = [
    "kind", "n", "n_out", "out", "out_low", "out_high", "n_control", "control", "control_low",
    "control_high", "verdict",
]  # fmt: skip
"""Of the table `verdicts`. A row also has `about` (how many the verdict is about), `against`
(what its controls are, in words) and, where something else than `n_out` decides, `says`.
"""


class PreferredOrder(NamedTuple):
    """In how many items the printed order of the options is liked best.

    Attributes:
        first: items in which it is.
        n: items that tell: an order that anybody expects does not.
        chance: how many it would be by chance.
        above: whether `first` is more than that (binomial test).
    """

    first: int
    n: int
    chance: float
    above: bool


def rows(result: Result, kinds: tuple[str, ...]) -> list[dict[str, Any]]:
    """A row for each of the kinds that was asked."""
    return [_ROWS[kind](result) for kind in kinds if kind in result.tables]


def is_above(hits: int, n: int, guessed: int, of: int) -> bool:
    """Whether a share is larger than that of its control: the 95 % interval of the difference lies
    above 0.
    """
    return rates_apart(hits / n, n, guessed / of, of)[0] > 0


def fair_items(table: pd.DataFrame) -> pd.DataFrame:
    """Test items whose last option can be guessed no better after the printed order than after
    another: several stand before it, and not in an order that anybody expects.
    """
    return table[(table["n_options"] > _PAIR) & ~table["sorted"]]


def preferred_order(table: pd.DataFrame) -> PreferredOrder:
    """Of the table `items`."""
    from scipy.stats import binomtest

    fair = table[~table["sorted"]]
    first, n, chance = int(fair["first"].sum()), len(fair), float(fair["chance"].sum())
    # Where chances differ, as many successes are rarer still than with their mean (Hoeffding 1956).
    above = n > 0 and binomtest(first, n, chance / n, alternative="greater").pvalue < _RARE
    return PreferredOrder(first, n, chance, bool(above))


def _row(kind: str, hits: int, n: int, guessed: int, of: int, against: str) -> dict[str, Any]:
    """One kind: what comes out of it, and of its control."""
    low, high = wilson(hits, n)
    c_low, c_high = wilson(guessed, of) if of else (np.nan, np.nan)
    if n == 0:
        verdict = NOTHING_ASKED
    elif hits == 0 or (of and not is_above(hits, n, guessed, of)):
        verdict = NO_SIGN
    elif not of and kind != DOCUMENTS:  # what is evidence of a document was measured before
        verdict = NO_CONTROL
    else:
        verdict = SLIGHT if hits / n <= _FEW else GIVES
    row = dict(zip(COLUMNS, (
        kind, n, hits, hits / max(1, n), low, high, of, guessed / of if of else np.nan, c_low,
        c_high, verdict,
    ), strict=True))  # fmt: skip
    return {**row, "about": n, "against": against}


def _beside_unread(kind: str, out: pd.Series, never: pd.Series, against: str) -> dict[str, Any]:
    """What comes out of texts that were read, or may have been, beside those that never were."""
    return _row(kind, int((out & ~never).sum()), int((~never).sum()), int((out & never).sum()),
                int(never.sum()), against)  # fmt: skip


def _beside_foreign(kind: str, table: pd.DataFrame, against: str) -> dict[str, Any]:
    """What comes out after its own text, beside the same after a foreign one; what has no foreign
    text is counted only where nothing has.
    """
    paired = table[table["has_control"]]
    told = table if paired.empty else paired
    return _row(kind, int(told["comes_out"].sum()), len(told), int(paired["guessed"].sum()),
                len(paired), against)  # fmt: skip


def _documents(result: Result) -> dict[str, Any]:
    """Documents that come out, beside those known not to have been read. That sampling would give
    out more of them is a sign as well.
    """
    table = result.tables[DOCUMENTS]
    verdicts, never = table["verdict"], table["repeats"] == 0
    against = "texts it never read come out"
    row = _beside_unread(DOCUMENTS, verdicts.isin(_COMES_OUT), never, against)
    if row["verdict"] == NO_SIGN:
        tried = verdicts.isin((*_COMES_OUT, SAMPLED))
        sampled = _beside_unread(DOCUMENTS, tried, never, against)
        if sampled["verdict"] != NO_SIGN:
            of = counted(row["n"], "document")
            row["verdict"] = SLIGHT
            row["says"] = (
                f"In many tries it would give out a passage of {sampled['n_out']:,} of {of}."
            )
    return row


def _personal(result: Result) -> dict[str, Any]:
    """Values that come out after their own text, also those that can be guessed. The control are
    values of texts known not to have been read; where there are none, the same values after a
    foreign text.
    """
    table = result.tables[PERSONAL]
    never = table["repeats"] == 0
    if never.any():
        against = "values of texts it never read come out"
        return _beside_unread(PERSONAL, table["comes_out"], never, against)
    return _beside_foreign(PERSONAL, table, "values come out after a foreign text")


def _facts(result: Result) -> dict[str, Any]:
    return _beside_foreign(FACTS, result.tables[FACTS], "answers come out after a foreign prompt")


def _items(result: Result) -> dict[str, Any]:
    """Last options that come out as printed; the control is after the others in a new order. An
    order that is liked more than by chance is a sign as well.
    """
    fair = fair_items(result.tables[ITEMS])
    own, shuffled = int(fair["comes_out"].sum()), int(fair["shuffled"].sum())
    against = "last options come out after the others in a new order"
    row = _row(ITEMS, own, len(fair), shuffled, len(fair), against)
    order = preferred_order(result.tables[ITEMS])
    if order.n and row["verdict"] in (NO_SIGN, NOTHING_ASKED):
        row |= {"verdict": NO_SIGN, "about": order.n}
        if order.above:
            of = counted(order.n, "test item")
            row["verdict"] = SLIGHT
            row["says"] = f"It likes the printed order best in {order.first:,} of {of}."
    return row


_ROWS: Mapping[str, Callable[[Result], dict[str, Any]]] = {
    DOCUMENTS: _documents, PERSONAL: _personal, FACTS: _facts, ITEMS: _items,
}  # fmt: skip
