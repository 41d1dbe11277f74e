"""Findings of edits that follow each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.statistics import wilson
from analyses.weights.edit_ledger import constants as c
from workbench.result import Finding, Result
from workbench.wording import counted, percent, percent_span

if TYPE_CHECKING:
    import pandas as pd


def add_ledger(result: Result, edits: int, wanted: int) -> None:
    """What is left of a sequence of edits."""
    table, drift = result.tables["ledger"], result.tables["drift"]
    kept, spans, words, begins, breaks = {}, {}, [], {}, {}
    for method, rows in table.groupby("method", sort=False):
        last = rows[rows["tested"] == rows["tested"].max()]
        share = float(last["holds"].mean())
        kept[str(method)], spans[str(method)] = share, wilson(int(last["holds"].sum()), len(last))
        words.append(f"{method} {percent(share)} (95 %: {percent_span(*spans[str(method)])})")
        begins[str(method)] = gradual_point(rows)
        mine = drift[drift["method"] == method]
        broken = mine[mine["disabled"]]
        breaks[str(method)] = int(broken["edits"].iloc[0]) if len(broken) else None
    few = f" ({counted(edits, 'known fact')}; {wanted} were asked for)" if edits < wanted else ""
    result.add(
        Finding(
            "remembered",
            kept,
            f"After {counted(edits, 'edit')} in one model{few}, so many still get their new answer:"
            f" {'; '.join(words)}.",
            unit="share of edits",
            interval=spans,
        )
    )
    begun = {m: n for m, n in begins.items() if n is not None}
    never = [m for m in begins if m not in begun]
    said = [f"with {m} after edit {n}" for m, n in begun.items()]
    said += [f"with {', '.join(never)} not within this sequence"] if never else []
    shown = (
        f"Earlier edits begin to be forgotten {'; '.join(said)}"
        if begun
        else f"No forgetting of earlier edits is shown within {counted(edits, 'edit')}"
    )
    rule = "with 95 % confidence more than 5 % of those that had held no longer do"
    result.add(
        Finding(
            "first_forgotten",
            {m: float(n) for m, n in begun.items()} or {"none": float(edits)},
            f"{shown} (it begins where, {rule}).",
            unit="edits",
        )
    )
    broke = {m: n for m, n in breaks.items() if n is not None}
    result.add(
        Finding(
            "breakdown",
            {m: float(n) for m, n in broke.items()} or {"none": float(edits)},
            (
                (
                    "The model breaks (loss on neutral text up by more than"
                    f" {c.DISABLED} nats per token at once) "
                    + "; ".join(f"with {m} by edit {n}" for m, n in broke.items())
                    + "."
                )
                if broke
                else f"No sequence breaks the model within {counted(edits, 'edit')}: loss on"
                f" neutral text rises by {_most(drift)} per token at most."
            )
            + _left_elsewhere(drift),
            unit="edits",
        )
    )
    _add_taken_out(result)


def _left_elsewhere(drift: pd.DataFrame) -> str:
    """How many known facts of other relations are left at the end of each sequence."""
    known = drift.dropna(subset=["known"]).groupby("method", sort=False)["known"].last()
    said = ", ".join(f"{method} {percent(share)}" for method, share in known.items())
    return f" Of known facts of other relations so many are left at the end: {said}." * bool(said)


def _most(drift: pd.DataFrame) -> str:
    return f"{drift['loss_change'].max():+.2f} nats".replace("-", "−")


_FORGOTTEN = 0.05


def gradual_point(rows: pd.DataFrame) -> int | None:
    """Edits after which more than 5 % of the earlier ones that had held are forgotten (Wilson's
    lower bound); None where that never happens.
    """
    at_first = rows[rows["made"] == rows["tested"]].set_index("edit")["holds"]
    for tested, now in rows.groupby("tested"):
        earlier = now[now["made"] < tested].set_index("edit")
        had = at_first.reindex(earlier.index).astype(bool)
        n = int(had.sum())
        lost = int((had & ~earlier["holds"]).sum())
        if n and wilson(lost, n)[0] > _FORGOTTEN:
            return int(now["edit"].max()) + 1
    return None


def _add_taken_out(result: Result) -> None:
    table = result.tables["taken_out"]
    if table.empty:
        return
    back = float(np.average(table["back"], weights=table["n"]))
    others = table[table["others"] > 0]
    hold = (
        float(np.average(others["others_hold"], weights=others["others"]))
        if len(others)
        else np.nan
    )
    kept = f" and {percent(hold)} of the others still hold" if hold == hold else ""
    result.add(
        Finding(
            "removed",
            back,
            f"Where one change is left out of the sequence ({counted(len(table), 'try')}),"
            f" {percent(back)} of its facts get their old answer again{kept}.",
            unit="share of facts",
            interval=wilson(round(back * int(table["n"].sum())), int(table["n"].sum())),
        )
    )
