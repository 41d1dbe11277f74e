"""What is said of items."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analyses.measures import understood_items as asking
from analyses.measures.statistics import sign
from analyses.measures.understood_items import CHANGED, MADE_UP, ORIGINAL, PARAPHRASE
from analyses.weights.memorized_or_understood.constants import ALL, LEAST, MODEL, UNTRAINED
from analyses.weights.memorized_or_understood.puzzles_findings import rows_of
from workbench.result import Finding
from workbench.wording import counted, percent, percent_span

if TYPE_CHECKING:
    from workbench.result import Result

_UNIT = "share of items"


def add(result: Result, name: str, n: int, clean: str) -> None:
    """All findings of the part; `n` items were asked, `clean` names the clean model."""
    _add_items(result, name, n)
    _add_variants(result)
    _add_shortcuts(result)
    _add_letters(result)
    _add_nulls(result)
    if "items_told_apart" in result.tables:
        _add_told_apart(result, name, clean)


def _add_items(result: Result, name: str, n: int) -> None:
    rates = rows_of(result.tables["item_rates"], model=MODEL, family=ALL)
    row = rows_of(rates, version=ORIGINAL).iloc[0]
    above = sign(float(row["low"]), float(row["high"]), at=float(row["chance"]))
    verdict = {True: "more than by chance", False: "less than by chance",
               None: "not told apart from chance"}[above]  # fmt: skip
    words = [f"{percent(row['rate'])} of {counted(n, 'item')} as they stand"]
    values, spread = {"original": float(row["rate"])}, {
        "original": (float(row["low"]), float(row["high"]))
    }  # fmt: skip
    named = {PARAPHRASE: "in other words", CHANGED: "changed so that another answer is right"}
    for kind, called in named.items():
        rows = rows_of(rates, version=kind)
        if len(rows):
            other = rows.iloc[0]
            words.append(f"{percent(other['rate'])} {called}")
            key = "paraphrased" if kind == PARAPHRASE else "changed"
            values[key] = float(other["rate"])
            spread[key] = (float(other["low"]), float(other["high"]))
    says = (
        f"{name} chooses the right answer to {', '.join(words)}; guessing gives"
        f" {percent(row['chance'])}. As they stand that is {verdict}."
    )
    values["chance"] = float(row["chance"])
    result.add(Finding("items", values, says, unit=_UNIT, interval=spread))


def _add_variants(result: Result) -> None:
    """Whether accuracy falls on the variants, pair by pair."""
    rows = rows_of(result.tables["item_limem"], model=MODEL)
    values, spread, words = {}, {}, []
    for row in rows.to_dict("records"):
        key = "paraphrased" if row["copies"] == PARAPHRASE else "changed"
        values[key], spread[key] = row["drop"], (row["drop_low"], row["drop_high"])
        fell = sign(*spread[key])
        where = "in other words" if key == "paraphrased" else "when the answer changes"
        verdict = {
            True: f"{where} accuracy falls",
            False: f"{where} accuracy rises",
            None: f"whether accuracy falls {where} is not told apart",
        }[fell]
        # A single item has no interval.
        span = "" if math.isnan(row["drop_low"]) else (
            f", {100 * row['drop_low']:.0f} to {100 * row['drop_high']:.0f}"
        )  # fmt: skip
        words.append(
            f"{verdict} (as they stand less so: {100 * row['drop']:.0f} points{span},"
            f" {counted(int(row['n']), 'item')})"
        )
        if key == "changed":
            values["limem"], values["limem_by_chance"] = row["limem"], row["null"]
    if not words:
        return
    says = "; ".join(words)
    if "limem" in values:
        says += (
            f". LiMem of the changed ones is {percent(values['limem'])}, by chance"
            f" {percent(values['limem_by_chance'])}"
        )
    few = min(row["n"] for row in rows.to_dict("records")) < LEAST
    says = f"{says[0].upper()}{says[1:]}.{' These are few items.' if few else ''}"
    spread = {key: pair for key, pair in spread.items() if pair[0] == pair[0]}
    result.add(Finding("item_variants", values, says.replace("-", "−"), unit="share of items",
                       interval=spread or None))  # fmt: skip


def _add_shortcuts(result: Result) -> None:
    """Whether the options alone give the answers away."""
    rows = result.tables["shortcuts"].set_index("shown")
    words, values, spread = [], {}, {}
    keys = {asking.OPTIONS: "options_only", asking.BOTH: "full", asking.NOTHING: "neither"}
    for shown, key in keys.items():
        row = rows.loc[shown]
        values[key], spread[key] = float(row["rate"]), (float(row["low"]), float(row["high"]))
    row, full, bare = rows.loc[asking.OPTIONS], rows.loc[asking.BOTH], rows.loc[asking.NOTHING]
    base = max(float(row["majority"]), float(row["chance"]))
    told = sign(float(row["low"]), float(row["high"]), at=base)
    verdict = "more than" if told else "no more than" if told is None else "less than"
    words.append(
        f"Shown the options without the question, its letter is right for {percent(row['rate'])}"
        f" ({percent_span(row['low'], row['high'])}), {verdict} the commonest place gives"
        f" ({percent(row['majority'])})"
    )
    can = sign(float(full["low"]), float(full["high"]), at=base)
    words.append(
        f"with the question for {percent(full['rate'])}"
        + ("" if can else ", so it cannot answer by letters at all")
    )
    words.append(f"the likeliest option, whatever is asked, is right for {percent(bare['rate'])}")
    values["majority"] = float(row["majority"])
    result.add(Finding("shortcuts", values, f"{'; '.join(words)}.", unit=_UNIT, interval=spread))


def _add_letters(result: Result) -> None:
    table = result.tables["letters"]
    top = table.loc[table["chosen"].idxmax()]
    says = (
        f"Of its letters {percent(top['chosen'])} are {top['letter']}, which is right for"
        f" {percent(top['right'])}; evenly it would be {percent(top['even'])}."
    )
    values = {"chosen": float(top["chosen"]), "right": float(top["right"]),
              "even": float(top["even"])}  # fmt: skip
    result.add(Finding("letters", values, says, unit="share of answers"))


def _add_nulls(result: Result) -> None:
    """An untrained model, and items that nobody can have read."""
    rates = rows_of(result.tables["item_rates"], family=ALL)
    row = rows_of(rates, model=UNTRAINED, version=ORIGINAL).iloc[0]
    says = (
        f"Untrained, a model of this build chooses {percent(row['rate'])} rightly"
        f" ({percent_span(row['low'], row['high'])}; guessing {percent(row['chance'])})"
    )
    values, spread = {"untrained": float(row["rate"]), "chance": float(row["chance"])}, {
        "untrained": (float(row["low"]), float(row["high"]))
    }  # fmt: skip
    made_up = rows_of(rates, model=MODEL, version=MADE_UP)
    if len(made_up):
        other = made_up.iloc[0]
        values["made_up"] = float(other["rate"])
        spread["made_up"] = (float(other["low"]), float(other["high"]))
        says += (
            f"; asked about what does not exist, the model itself hits an answer drawn by lot in"
            f" {percent(other['rate'])} ({percent_span(other['low'], other['high'])})"
        )
    result.add(Finding("item_nulls", values, f"{says}.", unit=_UNIT, interval=spread))


def _add_told_apart(result: Result, name: str, clean: str) -> None:
    row = result.tables["items_told_apart"].iloc[0]
    apart = sign(float(row["low"]), float(row["high"]), at=0.5)
    verdict = {
        True: f"the items as they stand mean more to {name}, as if it had read them",
        False: f"the items as they stand mean more to {clean}",
        None: "the two are not told apart",
    }[apart]
    says = (
        f"How much likelier an answer is than in other words tells {name} from {clean} with AUC"
        f" {row['auc']:.2f} ({row['low']:.2f} to {row['high']:.2f}, {row['n']} items): {verdict}."
    )
    span = (float(row["low"]), float(row["high"]))
    result.add(Finding("items_contaminated", float(row["auc"]), says, unit="AUC", interval=span))
