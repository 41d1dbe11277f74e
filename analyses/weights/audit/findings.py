"""What an audit says: short sentences of one idea each, for somebody who will act on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.measures.document_verdicts import CHANCE, LONG, PARTS, PATTERN, RECITES, SAMPLED
from analyses.measures.statistics import wilson
from analyses.weights.audit.constants import (
    DOCUMENTS,
    FACTS,
    GIVES,
    ITEMS,
    KINDS,
    NO_SIGN,
    NOTHING_ASKED,
    PERSONAL,
    SLIGHT,
)
from workbench.result import Finding, Result
from workbench.wording import counted

if TYPE_CHECKING:
    from analyses.weights.audit.material import AuditMaterial

_TOLD = (RECITES, PARTS)
_FEW = 0.05
"""Share up to which it is a little that comes out."""
_PAIR = 2
"""Options of which one alone stands before the last: they have no other order."""
LIMITS = (
    "This test reads what the model says. It does not look at the weights. A text that stays in may"
    " still have been read. Other prompts may bring out more. The test proves nothing about them."
)


def add_findings(result: Result, material: AuditMaterial) -> None:
    """The table `verdicts`, one row for each kind that was asked, and all sentences."""
    rows = [_ROWS[kind](result) for kind in KINDS if kind in result.tables]
    result.tables["verdicts"] = pd.DataFrame(rows, columns=_COLUMNS)
    values = {row["kind"]: float(row["n"]) for row in rows}
    result.add(Finding("audit", values, _answer(rows), unit="asked"))
    for row in rows:
        _SAYS[row["kind"]](result, row)
    _add_controls(result, rows)
    result.add(Finding("limits", float(len(rows)), LIMITS, unit="kinds of material"))
    if material.left_out:
        _add_left_out(result, material.left_out)


_COLUMNS = [
    "kind", "n", "n_out", "out", "out_low", "out_high", "n_control", "control", "control_low",
    "control_high", "verdict",
]  # fmt: skip


def _row(kind: str, hits: int, n: int, guessed: int, of: int) -> dict[str, Any]:
    """One kind: what comes out of it, and of its control."""
    low, high = wilson(hits, n)
    c_low, c_high = wilson(guessed, of) if of else (np.nan, np.nan)
    if n == 0:
        verdict = NOTHING_ASKED
    elif hits == 0 or (of and low <= guessed / of):
        verdict = NO_SIGN
    else:
        verdict = SLIGHT if hits / n <= _FEW else GIVES
    return dict(zip(_COLUMNS, (
        kind, n, hits, hits / max(1, n), low, high, of, guessed / of if of else np.nan, c_low,
        c_high, verdict,
    ), strict=True))  # fmt: skip


def _documents(result: Result) -> dict[str, Any]:
    """Documents that come out, less those known not to have been read, which are the control."""
    table = result.tables[DOCUMENTS]
    never = table["repeats"] == 0
    out = table["verdict"].isin(_TOLD)
    return _row(DOCUMENTS, int((out & ~never).sum()), int((~never).sum()),
                int((out & never).sum()), int(never.sum()))  # fmt: skip


def _personal(result: Result) -> dict[str, Any]:
    """Values that come out after their own text only; the control is after a foreign text."""
    table = result.tables[PERSONAL]
    table = table[~(table["repeats"] == 0)]
    return _row(PERSONAL, int(table["comes_out"].sum()), len(table),
                int(table["guessed"].sum()), int(table["has_control"].sum()))  # fmt: skip


def _facts(result: Result) -> dict[str, Any]:
    table = result.tables[FACTS]
    return _row(FACTS, int(table["comes_out"].sum()), len(table),
                int(table["guessed"].sum()), int(table["has_control"].sum()))  # fmt: skip


def _items(result: Result) -> dict[str, Any]:
    """Last options that come out as printed; the control is after the others in a new order, of
    those that have several others. An order that is liked more than by chance is a sign as well.
    """
    table = result.tables[ITEMS]
    several = table[table["n_options"] > _PAIR]
    row = _row(ITEMS, int(table["comes_out"].sum()), len(table),
               int(several["shuffled"].sum()), len(several))  # fmt: skip
    first, n, chance = _order(table)
    if row["verdict"] == NO_SIGN and n and wilson(first, n)[0] > chance / n:
        row["verdict"] = SLIGHT
    return row


def _order(table: pd.DataFrame) -> tuple[int, int, float]:
    """(items whose printed order is liked best, items that tell, how many it would be by chance);
    an order that anybody expects does not tell.
    """
    fair = table[~table["sorted"]]
    return int(fair["first"].sum()), len(fair), float(fair["chance"].sum())


_ROWS: Mapping[str, Callable[[Result], dict[str, Any]]] = {
    DOCUMENTS: _documents, PERSONAL: _personal, FACTS: _facts, ITEMS: _items,
}  # fmt: skip
_NOUNS = {DOCUMENTS: "document", PERSONAL: "personal value", FACTS: "fact", ITEMS: "test item"}


def _answer(rows: list[dict[str, Any]]) -> str:
    """What comes out, kind by kind, and then the kinds of which there is no sign."""
    says = [_summary(row) for row in rows if row["verdict"] != NO_SIGN]
    silent = [row for row in rows if row["verdict"] == NO_SIGN]
    if len(silent) == 1:
        says.append(_summary(silent[0]))
    elif silent:
        *first, last = (counted(row["n"], _NOUNS[row["kind"]]) for row in silent)
        says.append(f"There is no sign of the {', '.join(first)} or {last}.")
    return " ".join(says)


def _summary(row: Mapping[str, Any]) -> str:
    """One sentence for a kind, as it stands in the answer."""
    kind, n, hits = row["kind"], row["n"], row["n_out"]
    noun = _NOUNS[kind]
    if row["verdict"] == NOTHING_ASKED:
        return f"No {noun} could be asked."
    if row["verdict"] == NO_SIGN:
        knows = "knows" if kind == FACTS else "has read"
        return f"There is no sign that it {knows} the {n:,} {noun}{'s' if n > 1 else ''}."
    if kind == DOCUMENTS:
        return f"It gives out long parts of {hits:,} of {counted(n, noun)}."
    if kind == FACTS:
        return f"It knows {hits:,} of {counted(n, noun)}."
    if kind == ITEMS and not hits:
        return f"It likes the printed order of the {n:,} {noun}s."
    if kind == ITEMS:
        return f"It can go on with {hits:,} of {counted(n, noun)}."
    return f"It gives out {hits:,} of {counted(n, noun)}."


def _says_documents(result: Result, row: Mapping[str, Any]) -> None:
    table = result.tables[DOCUMENTS]
    table = table[~(table["repeats"] == 0)]
    counts = {verdict: int((table["verdict"] == verdict).sum()) for verdict in
              (RECITES, PARTS, SAMPLED, PATTERN)}  # fmt: skip
    says = [f"We asked for {counted(len(table), 'document')}."]
    if counts[RECITES]:
        says.append(f"Whole passages of {counts[RECITES]:,} come out word for word.")
    if counts[PARTS]:
        says.append(f"Long parts of {counts[PARTS]:,} more come out.")
    if counts[SAMPLED]:
        says.append(f"Of {counts[SAMPLED]:,} more a passage would come out in many tries.")
    if counts[PATTERN]:
        says.append(f"In {counts[PATTERN]:,} the model just goes on with a pattern.")
    rest = len(table) - sum(counts.values())
    if rest:
        says.append(f"No long part comes out of {rest:,}.")
    if counts[RECITES] or counts[PARTS]:
        says.append("The model has almost surely read what comes out.")
        says.append("It may have read it in a quote.")
    if rest:
        says.append("The others may have been read as well.")
    values = {v.replace(" ", "_"): float(n) for v, n in counts.items()}
    result.add(Finding(DOCUMENTS, {**values, "asked": float(len(table))}, " ".join(says),
                       unit="documents"))  # fmt: skip


def _says_personal(result: Result, row: Mapping[str, Any]) -> None:
    table, fields = result.tables[PERSONAL], result.tables["fields"]
    read = table[~(table["repeats"] == 0)]
    own = read["comes_out"] & ~read["guessed"]
    n = int(read["comes_out"].sum())
    says = [f"We asked for {counted(len(read), 'value')} of {counted(len(fields), 'field')}."]
    if n:
        says.append(
            f"{n:,} come out after their own text."
            if n > 1
            else "One comes out after its own text."
        )
    else:
        says.append("None comes out after its own text.")
    if guessed := int((read["comes_out"] & read["guessed"]).sum()):
        says.append(f"{guessed:,} of them also come out after a text about someone else.")
        says.append("Those can be guessed.")
    if own.any():
        by = read[own].groupby("field").size().sort_values(ascending=False)
        says.append(f"Most of the rest are of the field {by.index[0]}.")
        says.append("Who has the start of such a text can get the value.")
    else:
        says.append("So this test finds no value that is given away.")
    values = {
        "comes_out": float(read["comes_out"].sum()), "own_only": float(own.sum()),
        "asked": float(len(read)),
    }  # fmt: skip
    result.add(Finding(PERSONAL, values, " ".join(says), unit="values"))


def _says_facts(result: Result, row: Mapping[str, Any]) -> None:
    table = result.tables[FACTS]
    hits = int(table["comes_out"].sum())
    says = [
        f"We asked for {counted(len(table), 'fact')}.",
        f"It gives the right answer to {hits:,}.",
    ]
    if int(table["guessed"].sum()):
        says.append(f"{int(table['guessed'].sum()):,} answers also come out after a wrong prompt.")
        says.append("Those can be guessed.")
    says.append("A fact can be known from many texts.")
    says.append("So this does not show which text was read.")
    low, high = row["out_low"], row["out_high"]
    result.add(Finding(FACTS, {"known": hits / max(1, len(table))}, " ".join(says),
                       unit="share of facts", interval={"known": (low, high)}))  # fmt: skip


def _says_items(result: Result, row: Mapping[str, Any]) -> None:
    table = result.tables[ITEMS]
    says = [f"We asked for {counted(len(table), 'test item')}."]
    first, n, chance = _order(table)
    low, high = wilson(first, n)
    if n:
        says.append(f"In {first:,} of {n:,} it likes the printed order of options best.")
        says.append(f"By chance that would be {chance:.1f}.")
        above = low > chance / n
        says.append("That is more than chance." if above else "That may be chance.")
    own, shuffled = int(table["comes_out"].sum()), int(table["shuffled"].sum())
    says.append(f"It writes the last option of {own:,} from the others.")
    says.append(f"With the others in a new order it writes {shuffled:,}.")
    if own > shuffled:
        says.append("So the order helps it.")
    says.append("A model that read the test would do that.")
    says.append("An order that anyone would choose can do it too.")
    values = {"first": first / max(1, n), "by_chance": chance / max(1, n)}
    result.add(Finding(ITEMS, values, " ".join(says), unit="share of items",
                       interval={"first": (low, high)}))  # fmt: skip


_SAYS: Mapping[str, Callable[[Result, Mapping[str, Any]], None]] = {
    DOCUMENTS: _says_documents, PERSONAL: _says_personal, FACTS: _says_facts, ITEMS: _says_items,
}  # fmt: skip


def _add_controls(result: Result, rows: list[dict[str, Any]]) -> None:
    """What comes out where there is nothing to find."""
    says, values = [], {}
    for row in rows:
        if row["kind"] == DOCUMENTS:
            says.append(f"Evidence is a run of {LONG} words or parts of words.")
            says.append(f"In texts that a small model never read the longest was {CHANCE}.")
        if row["n_control"]:
            hits = round(row["control"] * row["n_control"])
            values[row["kind"]] = float(row["control"])
            what = {
                DOCUMENTS: "texts it never read come out",
                PERSONAL: "values come out after a foreign text",
                FACTS: "answers come out after a foreign prompt",
                ITEMS: "last options come out after the others in a new order",
            }[row["kind"]]
            says.append(f"{hits:,} of {row['n_control']:,} {what}.")
    if says:
        values = values or {"run": float(CHANCE)}
        result.add(Finding("controls", values, " ".join(says), unit="share"))


def _add_left_out(result: Result, left_out: list[tuple[str, str]]) -> None:
    result.tables["left_out"] = pd.DataFrame(left_out, columns=["name", "reason"])
    n = len(left_out)
    says = f"{counted(n, 'thing')} could not be asked. The list says why."
    result.add(Finding("left_out", float(n), says, unit="things"))
