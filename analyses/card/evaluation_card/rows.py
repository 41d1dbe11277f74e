"""The rows of a card: what runs say of each question, told from chance over the whole card."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.card.evaluation_card.collect import FoundCell
from analyses.card.evaluation_card.constants import (
    ALPHA,
    APART,
    CANNOT,
    CHANCE,
    MEASURED,
    MISSING,
    NO_NULL,
)
from workbench import account, registry
from workbench.cost import in_words
from workbench.errors import NotFound
from workbench.evaluation_card import ROWS, CardCell, CardRow

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel

_WIDTH = 1.96  # standard errors in half of a 95 % interval
_COLUMNS = [
    "row", "asks", "setting", "state", "value", "unit", "low", "high", "null", "beside", "errors",
    "p", "told", "says", "analysis", "run", "made", "seconds", "takes",
]  # fmt: skip


def card_table(
    model: InstrumentedModel, found: Mapping[tuple[str, str], FoundCell]
) -> pd.DataFrame:
    """A row for each question and analysis that answers it; one for each that nobody answered."""
    import pandas as pd

    known = {row.name for row in ROWS}
    own = [*ROWS, *(_own_row(cell) for (name, _), cell in found.items() if name not in known)]
    rows: list[dict[str, Any]] = []
    for row in own:
        cells = [cell for (name, _), cell in found.items() if name == row.name]
        about = {"row": row.name, "asks": row.asks, "setting": row.setting}
        if cells:
            rows += [about | _measured(cell) for cell in cells]
        else:
            rows.append(about | _missing(model, row))
    table = pd.DataFrame(rows).reindex(columns=_COLUMNS)
    for column in ("says", "unit", "beside", "analysis", "run", "made", "takes"):
        table[column] = table[column].fillna("")
    return table.assign(told=_told(table))


def _own_row(cell: FoundCell) -> CardRow:
    """A row that an analysis of a third party adds."""
    asks = registry.get(cell.analysis).question
    return CardRow(cell.cell.row, asks, ROWS[0].setting, cell.analysis)


def _measured(found: FoundCell) -> dict[str, Any]:
    cell = found.cell
    errors = errors_from_null(cell)
    return {
        "state": MEASURED, "value": cell.value, "unit": cell.unit, "low": cell.low,
        "high": cell.high, "null": cell.null, "beside": cell.beside, "errors": errors,
        "p": math.erfc(abs(errors) / math.sqrt(2)), "says": cell.says,
        "analysis": found.analysis, "run": found.run, "made": found.made[:10],
    }  # fmt: skip


def _missing(model: InstrumentedModel, row: CardRow) -> dict[str, Any]:
    """What would fill a row, and how long that takes."""
    try:
        analysis = registry.get(row.made_by)
    except NotFound:
        return {"state": CANNOT, "says": "No analysis that is installed asks this."}
    if why_not := analysis.unavailable_reason(model):
        return {"state": CANNOT, "says": why_not, "analysis": row.made_by}
    params = account.with_possible_parts(analysis, model, analysis.parse({}))
    seconds = account.stated(analysis, model, params).get("seconds") or math.nan
    needs = f"Needs {row.needs}." if row.needs else ""
    takes = "" if math.isnan(seconds) else in_words(seconds)
    return {"state": MISSING, "seconds": seconds, "takes": takes, "analysis": row.made_by,
            "says": needs}  # fmt: skip


def errors_from_null(cell: CardCell) -> float:
    """How many standard errors the value lies from its null; NaN without a null or interval.

    The error is that of the side of the interval which looks at the null.
    """
    side = cell.low if cell.value > cell.null else cell.high
    width = abs(cell.value - side) / _WIDTH
    if not math.isfinite(width) or not math.isfinite(cell.null):
        return math.nan
    by = cell.value - cell.null
    return by / width if width else math.copysign(math.inf, by) if by else 0.0


def _told(table: pd.DataFrame) -> list[str]:
    """Of each row whether it is told from chance, so that over the whole card at most one in
    twenty is so by accident (Holm 1979); "" where nothing was measured.
    """
    p = table["p"].to_numpy(float)
    apart = np.zeros(len(p), bool)
    ranked = [int(n) for n in np.argsort(p) if np.isfinite(p[n])]
    for done, n in enumerate(ranked):
        if p[n] > ALPHA / (len(ranked) - done):
            break
        apart[n] = True
    return [
        "" if state != MEASURED else NO_NULL if not np.isfinite(each) else APART if yes else CHANCE
        for state, each, yes in zip(table["state"], p, apart, strict=True)
    ]


def differences(table: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """The rows that both cards have, this one less the other; with the interval of two
    independent measures.
    """
    import pandas as pd

    both = table.merge(other, on=["row", "analysis", "unit"], suffixes=("", "_other"))
    both = both[(both["state"] == MEASURED) & (both["state_other"] == MEASURED)]
    by = both["value"] - both["value_other"]
    down = np.hypot(both["value"] - both["low"], both["high_other"] - both["value_other"])
    up = np.hypot(both["high"] - both["value"], both["value_other"] - both["low_other"])
    found = pd.DataFrame({
        "row": both["row"], "asks": both["asks"], "unit": both["unit"], "value": both["value"],
        "other": both["value_other"], "difference": by, "low": by - down, "high": by + up,
        "analysis": both["analysis"], "run": both["run"], "other_run": both["run_other"],
    })  # fmt: skip
    clear = (found["low"] > 0) | (found["high"] < 0)
    return found.assign(differs=np.where(found["low"].isna(), "", np.where(clear, "yes", "no")))
