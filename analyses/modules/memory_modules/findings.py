"""What a run says of a memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.modules.memory_modules.constants import (
    A_SAID,
    ALL_TOKENS,
    ANSWER_RANK,
    B_SAID,
    BY_LOT,
    CHANGES,
    COUNTERFACTUAL,
    INVENTED,
    LOST,
    NEAREST,
    NO_MEMORY,
    OTHER_RANK,
    OTHERS,
    OWN,
    RANDOM,
    RANDOM_VALUES,
    SWAPPED,
    TOP,
)
from workbench.organisms.modules.families import WINDOW
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from analyses.modules.memory_modules.fact_slots import Memories
    from analyses.modules.memory_modules.questions import KnownFacts
    from workbench.result import Result


def add_memory(result: Result, memories: Memories, questions: KnownFacts, name: str) -> None:
    """What memories there are, and what the model knows."""
    if memories.stand_in:
        what = (
            f"{name} has no memory module; the {memories.total:,} neurons of its feed-forward"
            " layers stand in its place (a neuron's input row is the key, its output column the"
            " value, its activation the read)."
        )
    else:
        layers = [place.layer for place in memories.places if place.layer is not None]
        where = f"layer {layers[0]}" if len(layers) == 1 else f"{len(layers)} layers"
        of = "" if len(memories.places) == 1 else " in all"
        many = counted(memories.total, memories.unit)
        what = f"{name} has a {memories.kind} of {many}{of} (in {where})."
    if not questions.asked:
        what = f"{name} has a {memories.kind}: every token of a text is a slot."
        if memories.places[0].adapter.is_written:
            count = memories.places[0].slots().count
            what = f"{name} has {count} {memories.kind}, which are written while text is read."
        values = {"slots": 0.0, "known": 0.0, "stand_in": 0.0}
        result.add(Finding("memory", values, what, unit="slots, facts"))
        return
    known = f" It answers {len(questions.known):,} of {counted(questions.asked, 'fact')} asked"
    if questions.never is not None:
        known += f", and {percent(questions.never)} of those that it never read"
    values = {
        "slots": float(memories.total),
        "known": float(len(questions.known)),
        "stand_in": float(memories.stand_in),
    }
    result.add(Finding("memory", values, f"{what}{known}.", unit="slots, facts"))


def add_written(result: Result, written: int, memories: Memories) -> None:
    """Whether the memory is written while text is read."""
    if memories.places[0].slots().space == "token position":
        says = f"Every token writes a slot as it is read: {counted(written, 'write')}."
        result.add(Finding("written", float(written), says, unit="writes"))
        return
    says = f"While these texts were read {counted(written, 'slot')} were written."
    if not written:
        says = "Nothing is written while text is read: these values were written in training."
        if not memories.stand_in:
            says += " A write would stand as a mark."
    result.add(Finding("written", float(written), says, unit="writes"))


def at_loss(rows: pd.DataFrame) -> tuple[int, dict[str, pd.Series]] | None:
    """Fewest masked slots with which a fact is lost, and the rows of that number; None where no
    number that was tried is enough.
    """
    own = rows[(rows["what"] == OWN) & (rows["recall"] < LOST)].sort_values("slots")
    if own.empty:
        return None
    level = int(own["slots"].iloc[0])
    return level, _at(rows, level)


def _at(rows: pd.DataFrame, level: int) -> dict[str, pd.Series]:
    here = rows[rows["slots"] == level]
    return {str(row["what"]): row for _, row in here.iterrows()}


def add_facts(result: Result, memories: Memories) -> None:
    """What masking a fact's slots takes away."""
    rows = result.tables["curve"]
    found = at_loss(rows)
    level = int(rows["slots"].max()) if found is None else found[0]
    at = _at(rows, level)
    own, others = at[OWN], at[OTHERS]
    masked = float(own["masked"])
    what = f"the {_many(masked, memories.unit)} that a fact reads most"
    if masked == 1:
        what = f"the {memories.unit} that a fact reads most"
    verb = "loses the fact" if found is not None else "does not lose the fact"
    words = [
        f"Masking {what} {verb}: {percent(own['recall'])} of {counted(int(own['n']), 'fact')} are"
        f" still answered (95 %: {percent(own['low'])} to {percent(own['high'])}); of other facts"
        f" {percent(others['recall'])} are."
    ]
    values = {
        "own": float(own["recall"]),
        "others": float(others["recall"]),
        "slots": masked,
        "selectivity": _selectivity(own, others),
    }
    spread = {"own": (float(own["low"]), float(own["high"]))}
    if RANDOM in at:
        by_lot = at[RANDOM]
        words.append(
            f"With as many random {memories.unit}s masked that other facts read,"
            f" {percent(by_lot['recall'])} are."
        )
        values["random"] = float(by_lot["recall"])
        spread["random"] = (float(by_lot["low"]), float(by_lot["high"]))
    if found is None:
        words[0] = words[0].replace("Masking", "Even masking", 1)
    result.add(Finding("facts", values, " ".join(words), unit="recall", interval=spread))


def _number(count: float) -> str:
    return f"{count:.0f}" if abs(count - round(count)) < 0.05 else f"{count:.1f}"


def _many(count: float, unit: str) -> str:
    return f"{_number(count)} {unit}" + ("" if count == 1 else "s")


def _selectivity(own: pd.Series, others: pd.Series) -> float:
    """Recall that the fact loses over what others lose; 1 is no selectivity."""
    return float((1 - own["recall"]) / max(1 - others["recall"], 1 / max(1.0, float(others["n"]))))


def add_twin(result: Result, unit: str) -> None:
    """How local the twin's facts are, at the number of slots that loses them in each."""
    curves = {name: result.tables[name] for name in ("curve", "twins_curve")}
    mine, its = map(at_loss, curves.values())
    if its is None or mine is None:
        who = "Its twin" if mine is not None else "This model"
        rows = curves["twins_curve" if mine is not None else "curve"]
        most = _at(rows, int(rows["slots"].max()))
        says = (
            f"{who} loses no fact with {_number(float(most[OWN]['masked']))} masked:"
            f" {percent(most[OWN]['recall'])} are still answered, so the two cannot be compared."
        )
        result.add(Finding("twin", {"own": float(most[OWN]["recall"])}, says, unit="recall"))
        return
    lost = {name: 1 - float(at[1][OTHERS]["recall"]) for name, at in (("a", mine), ("b", its))}
    if its[0] > mine[0]:
        less_local = lost["b"] > lost["a"]
        how = "are spread wider, and are less local" if less_local else "are spread wider"
    else:
        how = "are lost with as few" if its[0] == mine[0] else "are lost with fewer"
    says = (
        f"In the twin without a memory facts {how}: it takes {its[0]} neurons to lose one, in place"
        f" of {mine[0]} {unit}, and with them {100 * lost['b']:.1f} of 100 other facts are not"
        f" answered, in place of {100 * lost['a']:.1f}."
    )
    values = {
        "slots": float(mine[0]),
        "neurons": float(its[0]),
        "others_lost": lost["a"],
        "others_lost_twin": lost["b"],
    }
    result.add(Finding("twin", values, says, unit="slots, recall"))


def add_usage(result: Result, memories: Memories, facts: int) -> None:
    """How many slots are read."""
    table = result.tables["usage"]
    used, dead = int(table["used"].sum()), int(table["dead"].sum())
    each = float(table["slots_per_fact"].iloc[0])
    serves = float((table["facts_per_slot"] * table["used"]).sum() / max(1, used))
    says = (
        f"Over {counted(facts, 'fact')} {used:,} of {used + dead:,} slots are read and {dead:,}"
        f" are dead; a fact reads {_many(each, 'slot')} at the last token of its prompt, and one"
        f" that is used serves {serves:.1f} facts."
    )
    if memories.stand_in:
        says = (
            f"Over {counted(facts, 'fact')} {used:,} of {used + dead:,} neurons are ever among the"
            f" {TOP} that write most at the last token of a prompt; one of them is for"
            f" {serves:.1f} facts."
        )
    values = {"used": used / (used + dead), "dead": float(dead), "per_slot": serves}
    result.add(Finding("usage", values, says, unit="share of slots"))


def add_one_relation(
    result: Result, found: tuple[float, float, float, int] | None, unit: str
) -> None:
    """Whether slots serve one relation."""
    if found is None:
        return
    real, null, high, n = found
    more = "serve one relation more than" if real > high else "mix relations as"
    says = (
        f"Slots {more} dealt labels would: of the facts that read one, {percent(real)} are of its"
        f" commonest relation ({percent(null)} where relations are dealt to the facts at random,"
        f" up to {percent(high)}; {n:,} {unit} that four facts or more read)."
    )
    values = {"share": real, "null": null, "null_high": high}
    result.add(Finding("one_relation", values, says, unit="share of facts"))


def add_values(result: Result) -> None:
    """What the values say."""
    rates = result.tables["swap_rates"]

    def rate(values: str, says: str) -> float:
        row = rates[(rates["values"] == values) & (rates["says"] == says)]
        return float(row["share"].iloc[0]) if len(row) else float("nan")

    if len(rates):
        moved, by_lot = rate(SWAPPED, B_SAID), rate(RANDOM_VALUES, B_SAID)
        says = (
            f"With another fact's values in a fact's slots {percent(moved)} of"
            f" {counted(int(rates['n'].iloc[0]), 'fact')} give that fact's answer and"
            f" {percent(rate(SWAPPED, A_SAID))} keep their own; with values of random used slots"
            f" {percent(by_lot)} give it and {percent(rate(RANDOM_VALUES, A_SAID))} keep theirs."
        )
        values = {"moved": moved, "random": by_lot, "n": float(rates["n"].iloc[0])}
        result.add(Finding("swap", values, says, unit="share of facts"))
    ranks = result.tables["ranks"]
    own = ranks.loc[ranks["what"] == ANSWER_RANK, "rank"]
    other = ranks.loc[ranks["what"] == OTHER_RANK, "rank"]
    if len(other):
        says = (
            "Read through the final norm and the unembedding, what the memory gives at the last"
            f" token has the answer at rank {own.median():.0f} (median; 0 is the first),"
            f" another fact's answer at rank {other.median():.0f}."
        )
        values = {
            "answer": float(own.median()),
            "other": float(other.median()),
            "first": float(np.mean(own == 0)),
        }
        result.add(Finding("lens", values, says, unit="rank"))


def add_share(result: Result, memories: Memories) -> None:
    """What is left of the answers without the memory, beside the other parts."""
    table = result.tables["without"]
    mine = table[table["kind"] == "memory"]
    rest = table[table["kind"] != "memory"]
    if mine.empty:
        worst = table.loc[table["recall"].idxmin()]
        says = (
            "Of all parts the answers need"
            f" {worst['part']} most: without it {percent(worst['recall'])} of"
            f" {counted(int(worst['n']), 'fact')} are answered."
        )
        result.add(Finding("share", float(worst["recall"]), says, unit="recall"))
        return
    first = mine.iloc[0]
    says = (
        f"Without {first['part']},"
        f" {percent(first['recall'])} of {counted(int(first['n']), 'fact')} are answered"
        f" (95 %: {percent(first['low'])} to {percent(first['high'])})."
    )
    if len(rest):
        most, least = rest.loc[rest["recall"].idxmin()], rest.loc[rest["recall"].idxmax()]
        says += (
            f" Of the other parts {most['part']} is needed most ({percent(most['recall'])} without"
            f" it) and {least['part']} least ({percent(least['recall'])})."
        )
    spread = (float(first["low"]), float(first["high"]))
    result.add(Finding("share", float(first["recall"]), says, unit="recall", interval=spread))


def add_definitions(result: Result) -> None:
    """Whether the memory reads definitions, and what is lost without them."""
    hits = result.tables["hits"]
    best = hits.loc[hits["hit"].idxmax()]
    says = (
        f"At a question the memory reads its definition, {WINDOW} tokens back or more, before any"
        f" other token in {percent(best['hit'])} of {counted(int(best['n']), 'question')} (95 %:"
        f" {percent(best['low'])} to {percent(best['high'])}; a token at random:"
        f" {percent(best['chance'])})."
    )
    values = {"hit": float(best["hit"]), "chance": float(best["chance"])}
    spread = {"hit": (float(best["low"]), float(best["high"]))}
    result.add(Finding("hits", values, says, unit="share of questions", interval=spread))
    rows = {row["change"]: row for _, row in result.tables["changes"].iterrows()}
    whole, off, gold, another, swap = (rows[name] for name in CHANGES)
    says = (
        f"With its definition masked {percent(gold['own'])} of"
        f" {counted(int(gold['n']), 'question')} are answered, in place of"
        f" {percent(whole['own'])}; of other questions in the same texts"
        f" {percent(gold['others'])} are. With another definition masked {percent(another['own'])}"
        f" are, with the memory off {percent(off['own'])}. With another definition's value in its"
        f" place {percent(swap['other_value'])} give that value."
    )
    values = {
        "own": float(gold["own"]),
        "others": float(gold["others"]),
        "another": float(another["own"]),
        "off": float(off["own"]),
        "moved": float(swap["other_value"]),
    }
    interval = {"own": (float(gold["low"]), float(gold["high"]))}
    result.add(Finding("definitions", values, says, unit="recall", interval=interval))


def add_document(result: Result) -> None:
    """Whether a document outside of the prompt is read, and where."""
    table = result.tables["document"]
    rows = {row["memory"]: row for _, row in table[table["facts"] == INVENTED].iterrows()}
    against = table[(table["facts"] == COUNTERFACTUAL) & (table["memory"] == ALL_TOKENS)]
    near, every = rows[NEAREST], rows[ALL_TOKENS]
    none, by_lot = rows[NO_MEMORY], rows[BY_LOT]
    fetched = result.tables["fetched"]
    best = fetched.loc[fetched["passage"].idxmax()]
    without = {name: row for name, row in rows.items() if ", not in the " in name}
    least = min(float(row["document"]) for row in without.values())
    worst = [name for name, row in without.items() if float(row["document"]) == least]
    thirds = " and ".join(name.split("not in the ")[1].split(" third")[0] for name in worst)
    says = (
        f"Of {counted(int(near['n']), 'invented fact')} in a document outside of the prompt"
        f" {percent(near['document'])} are answered as it says when each head reads the 16 nearest"
        f" tokens (95 %: {percent(near['low'])} to {percent(near['high'])}); with every token"
        f" {percent(every['document'])}, with random ones {percent(by_lot['document'])}, without"
        f" it {percent(none['document'])}. Layer {int(best['layer'])} reads the fact's own line"
        f" most: {percent(best['passage'])} of its tokens ({percent(best['random'])} by lot). It"
        f" is needed most in the {thirds} third of the layers: {percent(least)} where these do"
        " not read."
    )
    if len(against):
        row = against.iloc[0]
        says += (
            f" Of facts that contradict what the model knows {percent(row['document'])} are"
            f" answered as the document says with every token, {percent(row['own'])} as the model"
            " knows them."
        )
    values = {
        "nearest": float(near["document"]),
        "every": float(every["document"]),
        "random": float(by_lot["document"]),
        "none": float(none["document"]),
    }
    spread = {"nearest": (float(near["low"]), float(near["high"]))}
    result.add(Finding("document", values, says, unit="share of facts", interval=spread))


def relations_in(rows: Sequence[str]) -> list[str]:
    """Each once, in order."""
    return list(dict.fromkeys(rows))
