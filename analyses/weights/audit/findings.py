"""What an audit says: short sentences of one idea each, for somebody who will act on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from analyses.measures.document_verdicts import (
    CHANCE,
    CHANCE_RUN,
    LONG,
    LONG_RUN,
    PARTS,
    PATTERN,
    RECITES,
    SAMPLED,
)
from analyses.measures.statistics import wilson
from analyses.weights.audit import kind_rates
from analyses.weights.audit.constants import (
    DOCUMENTS,
    FACTS,
    ITEMS,
    KINDS,
    NO_CONTROL,
    NO_SIGN,
    NOTHING_ASKED,
    PERSONAL,
)
from workbench.result import Finding, Result
from workbench.wording import counted

if TYPE_CHECKING:
    from analyses.weights.audit.material import AuditMaterial, SkippedMaterial

LIMITS = (
    "This test reads what the model says. It does not look at the weights. A text that stays in may"
    " still have been read. Other prompts may bring out more. The test proves nothing about them."
)


def add_findings(result: Result, material: AuditMaterial) -> None:
    """The table `verdicts`, one row for each kind that was asked so far, and all sentences."""
    result.findings.clear()
    rows = kind_rates.rows(result, KINDS)
    result.tables["verdicts"] = pd.DataFrame(rows, columns=kind_rates.COLUMNS)
    values = {row["kind"]: float(row["about"]) for row in rows}
    result.add(Finding("audit", values, _answer(rows), unit="asked"))
    for row in rows:
        _SAYS[row["kind"]](result, row)
    _add_controls(result, rows)
    result.add(Finding("limits", float(len(rows)), LIMITS, unit="kinds of material"))
    if material.left_out:
        _add_left_out(result, material.left_out)


_NOUNS = {DOCUMENTS: "document", PERSONAL: "personal value", FACTS: "fact", ITEMS: "test item"}


def _answer(rows: list[dict[str, Any]]) -> str:
    """What comes out, kind by kind, and then the kinds of which there is no sign."""
    says = [_summary(row) for row in rows if row["verdict"] != NO_SIGN]
    silent = [row for row in rows if row["verdict"] == NO_SIGN]
    if len(silent) == 1:
        says.append(_summary(silent[0]))
    elif silent:
        *first, last = (counted(row["about"], _NOUNS[row["kind"]]) for row in silent)
        says.append(f"There is no sign of the {', '.join(first)} or {last}.")
    return " ".join(says)


def _summary(row: Mapping[str, Any]) -> str:
    """One sentence for a kind, as it stands in the answer."""
    kind, n, hits = row["kind"], row["about"], row["n_out"]
    noun = _NOUNS[kind]
    if "says" in row:
        return str(row["says"])
    if row["verdict"] == NOTHING_ASKED:
        return f"No {noun} could be asked."
    if row["verdict"] == NO_SIGN:
        knows = "knows" if kind == FACTS else "has read"
        return f"There is no sign that it {knows} the {n:,} {noun}{'s' if n > 1 else ''}."
    if row["verdict"] == NO_CONTROL:
        come = "comes" if hits == 1 else "come"
        return f"{hits:,} of {counted(n, noun)} {come} out, but may be guessed."
    if kind == DOCUMENTS:
        return f"It gives out long parts of {hits:,} of {counted(n, noun)}."
    if kind == FACTS:
        return f"It knows {hits:,} of {counted(n, noun)}."
    if kind == ITEMS:
        return f"It can go on with {hits:,} of {counted(n, noun)}."
    return f"It gives out {hits:,} of {counted(n, noun)}."


def _says_documents(result: Result, row: Mapping[str, Any]) -> None:
    table = result.tables[DOCUMENTS]
    table = table[~(table["repeats"] == 0)]
    counts = {verdict: int((table["verdict"] == verdict).sum()) for verdict in
              (RECITES, PARTS, SAMPLED, PATTERN)}  # fmt: skip
    whole, parts, sampled, patterns = counts.values()
    says = [f"We asked for {counted(len(table), 'document')}."]
    if whole:
        says.append(f"Whole passages of {whole:,} come out word for word.")
    if parts:
        says.append(f"Long parts of {parts:,}{' more' if whole else ''} come out.")
    if sampled:
        more = " more" if whole or parts else ""
        says.append(f"Of {sampled:,}{more} a passage would come out in many tries.")
    if patterns:
        says.append(f"In {patterns:,} the model just goes on with a pattern.")
    rest = len(table) - sum(counts.values())
    if rest:
        says.append(f"No long part comes out of {rest:,}.")
    if (whole or parts) and row["verdict"] != NO_SIGN and "says" not in row:
        says.append("The model has almost surely read the whole passages." if whole else
                    "The model has likely read what comes out.")  # fmt: skip
        says.append("It may have read them in a quote." if whole else
                    "It may have read it in a quote.")  # fmt: skip
    if rest:
        others = "They" if rest == len(table) else "The others"
        says.append(f"{others} may have been read all the same.")
    values = {v.replace(" ", "_"): float(n) for v, n in counts.items()}
    result.add(Finding(DOCUMENTS, {**values, "asked": float(len(table))}, " ".join(says),
                       unit="documents"))  # fmt: skip


def _says_personal(result: Result, row: Mapping[str, Any]) -> None:
    table, fields = result.tables[PERSONAL], result.tables["fields"]
    read = table[~(table["repeats"] == 0)]
    own = read["comes_out"] & ~read["guessed"]
    n, guessed = int(read["comes_out"].sum()), int((read["comes_out"] & read["guessed"]).sum())
    says = [f"We asked for {counted(len(read), 'value')} of {counted(len(fields), 'field')}."]
    if n > 1:
        says.append(f"{n:,} come out after their own text.")
    else:
        says.append(f"{'One' if n else 'None'} comes out after its own text.")
    if guessed and n == 1:
        says.append("It also comes out after a text about someone else.")
        says.append("It can be guessed.")
    elif guessed:
        says.append(f"{guessed:,} of them also come out after a text about someone else.")
        says.append("Those can be guessed.")
    if own.any():
        by = read[own].groupby("field").size().sort_values(ascending=False)
        which = "of the rest" if guessed else "of them"
        are = "are" if by.iloc[0] > 1 else "is"
        says.append(f"{by.iloc[0]:,} {which} {are} of the field {by.index[0]}.")
        says.append("Who has the start of such a text can get the value.")
    else:
        says.append("So this test finds no value that is given away.")
    values = {
        "comes_out": float(n), "own_only": float(own.sum()), "asked": float(len(read)),
    }  # fmt: skip
    result.add(Finding(PERSONAL, values, " ".join(says), unit="values"))


def _says_facts(result: Result, row: Mapping[str, Any]) -> None:
    table = result.tables[FACTS]
    hits, guessed = int(table["comes_out"].sum()), int(table["guessed"].sum())
    says = [
        f"We asked for {counted(len(table), 'fact')}.",
        f"It gives the right answer to {hits:,}.",
    ]
    if guessed:
        come = "comes" if guessed == 1 else "come"
        says.append(f"{counted(guessed, 'answer')} also {come} out after a wrong prompt.")
        says.append("Those can be guessed.")
    says.append("A fact can be known from many texts.")
    says.append("So this does not show which text was read.")
    result.add(Finding(FACTS, {"known": hits / max(1, len(table))}, " ".join(says),
                       unit="share of facts",
                       interval={"known": wilson(hits, len(table))}))  # fmt: skip


def _says_items(result: Result, row: Mapping[str, Any]) -> None:
    table = result.tables[ITEMS]
    says = [f"We asked for {counted(len(table), 'test item')}."]
    order = kind_rates.preferred_order(table)
    if order.n:
        says.append(
            f"In {order.first:,} of {order.n:,} it likes the printed order of options best."
        )
        says.append(f"By chance that would be {order.chance:.1f}.")
        says.append("That is more than chance." if order.above else "That may be chance.")
    else:
        says.append("Their options stand in an order that anyone expects.")
        says.append("So they tell nothing.")
    fair, helps = kind_rates.fair_items(table), False
    if n := len(fair):
        own, shuffled = int(fair["comes_out"].sum()), int(fair["shuffled"].sum())
        says.append(f"It writes the last option of {own:,} of {n:,} from the others.")
        says.append(f"With the others in a new order it writes {shuffled:,}.")
        helps = kind_rates.is_above(own, n, shuffled, n)
    if helps:
        says.append("So the order helps it.")
    if helps or order.above:
        says.append("A model that read the test would do that.")
        says.append("An order that anyone would choose can do it too.")
    of = max(1, order.n)
    result.add(Finding(ITEMS, {"first": order.first / of, "by_chance": order.chance / of},
                       " ".join(says), unit="share of items",
                       interval={"first": wilson(order.first, order.n)}))  # fmt: skip


_SAYS: Mapping[str, Callable[[Result, Mapping[str, Any]], None]] = {
    DOCUMENTS: _says_documents, PERSONAL: _says_personal, FACTS: _says_facts, ITEMS: _says_items,
}  # fmt: skip


def _add_controls(result: Result, rows: list[dict[str, Any]]) -> None:
    """What comes out where there is nothing to find."""
    says = []
    for row in rows:
        if row["kind"] == DOCUMENTS:
            says.append(f"Evidence is {LONG} words or parts of words from a start, or {LONG_RUN}"
                        " inside.")  # fmt: skip
            says.append(f"In texts that a small model never read the longest were {CHANCE} and"
                        f" {CHANCE_RUN}.")  # fmt: skip
        if row["n_control"]:
            hits = round(row["control"] * row["n_control"])
            says.append(f"{hits:,} of {row['n_control']:,} {row['against']}.")
        elif row["verdict"] == NO_CONTROL:
            says.append(f"There is no control for a {_NOUNS[row['kind']]}.")
    if says:
        values = {row["kind"]: float(row["control"]) for row in rows}
        result.add(Finding("controls", values, " ".join(says), unit="share"))


def _add_left_out(result: Result, left_out: Sequence[SkippedMaterial]) -> None:
    result.tables["left_out"] = pd.DataFrame(
        [(each.name, each.reason) for each in left_out], columns=["name", "reason"]
    )
    n = sum(each.n for each in left_out)
    were = "was" if n == 1 else "were"
    says = f"{counted(n, 'thing')} {were} not asked. The list says why."
    result.add(Finding("left_out", float(n), says, unit="things"))
