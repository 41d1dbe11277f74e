"""What is said of recited texts and of near copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.evidence_near_copies import NEAR, PIP_LINE
from analyses.measures.statistics import rates_apart, wilson
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

PLAIN, CAPITALS = "as it stands", "in capitals"
"""How the prefix is given."""
_ALIKE = 0.99  # of pairs that do not belong together lie below what counts as alike


def add_recited(result: Result, recited: np.ndarray, mixed: np.ndarray) -> None:
    """What tells recited texts from others of their kind.

    Args:
        mixed: windows of kinds that have both.
    """
    n = int(recited.sum())
    table = result.tables.get("recited_features")
    if table is None:
        says = (
            f"{n:,} of {counted(len(recited), 'window')} are recited: too few, or too few are not,"
            " of one kind, to say what recited texts are like."
        )
        result.add(Finding("recited", {"recited": n, "n": len(recited)}, says, unit="windows"))
        return
    apart = table[(table["low"] > 0.5) | (table["high"] < 0.5)]
    apart = apart.reindex((apart["auc"] - 0.5).abs().sort_values(ascending=False).index)
    words = ", ".join(
        f"{row.feature} ({'higher' if row.auc > 0.5 else 'lower'}: {row.auc:.2f}, {row.low:.2f} to"
        f" {row.high:.2f})"
        for row in apart.head(4).itertuples()
    )
    lead = f"Recited texts differ from others of their kind in {words}" if words else (
        "Nothing in their words tells recited texts from others of their kind"
    )  # fmt: skip
    says = (
        f"{lead}. {int(recited[mixed].sum())} recited windows against"
        f" {int((~recited[mixed]).sum())} (AUC, 95 %; .5 is chance; {len(table)} properties were"
        " compared, so one in twenty lies outside by chance)."
    )
    values = {str(row.feature): float(row.auc) for row in table.itertuples()}
    result.add(Finding("recited", values, says, unit="AUC"))
    _add_layers(result, result.tables["recited_layers"])


def _add_layers(result: Result, layers: pd.DataFrame) -> None:
    if layers["auc"].isna().all():  # one document, or two with one group each
        return
    best = layers.loc[layers["auc"].idxmax()]
    null = float(best["null_max"])
    lead = (
        "Hidden states tell, before a word is said, whether a text will be recited"
        if best["auc"] > null
        else "That hidden states tell whether a text will be recited is not shown"
    )
    says = (
        f"{lead}: best behind layer {int(best['layer'])}, AUC {best['auc']:.2f} (95 %:"
        f" {best['low']:.2f} to {best['high']:.2f}) on texts that did not choose the direction;"
        f" with labels dealt anew the best layer has at most {null:.2f} in 95 % of draws."
    )
    result.add(
        Finding("recited_states", float(best["auc"]), says, unit="AUC",
                interval=(float(best["low"]), float(best["high"])))
    )  # fmt: skip


def add_near_copies(result: Result) -> None:
    """How many come near, against how near another text comes."""
    table = result.tables["near_copies"]
    plain, capitals = (table[table["prompt"] == name] for name in (PLAIN, CAPITALS))
    if len(plain):
        _add_near(result, plain)
    if len(capitals):
        hits, n = int(capitals["passes"].sum()), len(capitals)
        low, high = wilson(hits, n)
        means = (
            "a filter that compares word for word does not see them"
            if hits
            else "asking in capitals gets nothing past a filter that compares word for word"
        )
        says = (
            f"Behind the same beginning in capitals, {hits} of {counted(n, 'recited text')}"
            f" ({percent(hits / n)}, 95 %: {percent(low)} to {percent(high)}) come out the same but"
            f" for their style: {means}."
        )
        result.add(
            Finding("style", hits / n, says, unit="share of recited texts", interval=(low, high))
        )


def _add_near(result: Result, plain: pd.DataFrame) -> None:
    n = len(plain)
    close, other = (float((plain[c] <= NEAR).mean()) for c in ("edits", "edits_other"))
    low, _ = rates_apart(close, n, other, n)
    words = (
        f"Of {counted(n, 'text')} that are not recited, {percent(close)} come out with at most"
        f" {percent(NEAR)} of their tokens changed (another text's suffix: {percent(other)})"
    )
    values = {"near": close, "near_other": other}
    if plain["alike"].notna().any():
        bound = float(plain["alike_other"].quantile(_ALIKE))
        alike = float((plain["alike"] > bound).mean())
        values |= {"alike": alike, "bound": bound}
        words += (
            f"; {percent(alike)} say something alike in meaning (cosine above {bound:.2f}, the"
            f" {100 * _ALIKE:.0f}th percentile of {counted(n, 'pair')} that do not belong together)"
        )
    else:
        words += f"; likeness of meaning was not measured: {PIP_LINE}"
    lead = "Some come near without being word for word. " if low > 0 else ""
    result.add(Finding("near_copies", values, f"{lead}{words}.", unit="share of texts"))
