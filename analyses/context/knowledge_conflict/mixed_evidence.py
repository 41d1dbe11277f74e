"""Which answer wins where the context speaks for both: how many sentences for each, and in what
order.

After Xie et al. 2024 (ConflictQA, 2305.13300). Memory's answer and a contradicting one get so many
sentences each, every one in another wording, so that none repeats another. What is measured is the
memorization ratio, memory / (memory + contradiction), of the answers that are one of the two.

The null: facts that the model does *not* know, for which the true answer is no memory. What it
prefers there it prefers for another reason, by the order or by what is likely anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.context.knowledge_conflict.answer_rates import CaseRunner, Rates
from analyses.context.knowledge_conflict.cases import Case, make_cases
from analyses.measures.closed_book import ClosedBook
from analyses.measures.fact_prompts import ids_of, rendered
from analyses.measures.statistics import paired_gain, rates_apart, sign, wilson
from workbench.errors import BadInput
from workbench.facts import Prompt, render
from workbench.facts.relation import joined
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.facts import Format, Relation
    from workbench.progress import Progress
    from workbench.result import Result

MEMORY_FIRST, COUNTER_FIRST, IN_TURN, ALONE = "memory first", "contradiction first", "in turn", ""
KNOWN, UNKNOWN = "known", "not known"
OLD, NEW = 1931, 2031
"""Years of a document with the contradiction: before most of what was read, and after it."""


@dataclass(frozen=True)
class Mix:
    """So many sentences for memory's answer and for the contradiction, and their order."""

    memory: int
    counter: int
    order: str
    year: int = 0
    """Of the document that the sentences stand in; 0: no document is named."""

    @property
    def name(self) -> str:
        """ "2 : 1, memory first"."""
        dated = f", dated {self.year}" if self.year else ""
        return f"{self.memory} : {self.counter}" + (f", {self.order}" if self.order else "") + dated


MIXES = (
    Mix(0, 1, ALONE),
    Mix(1, 0, ALONE),
    Mix(1, 1, MEMORY_FIRST),
    Mix(1, 1, COUNTER_FIRST),
    Mix(2, 2, IN_TURN),
    Mix(2, 1, MEMORY_FIRST),
    Mix(1, 2, COUNTER_FIRST),
    Mix(1, 3, COUNTER_FIRST),
    Mix(0, 1, ALONE, OLD),
    Mix(0, 1, ALONE, NEW),
)
"""One side alone, both alike in either order, and either side outnumbered but with the last
word.
"""


def sentences(relation: Relation, subject: str, answer: str) -> list[str]:
    """The relation's wordings that say an answer, all different, the plain statement first."""
    begun = [relation.closed_book_prompt(subject), *relation.paraphrased(subject)]
    said = [relation.fill("statement", subject, answer).text]
    said += [f"{joined(prompt.text, answer)}." for prompt in begun]
    return list(dict.fromkeys(said))


def evidence(relation: Relation, case: Case, mix: Mix) -> str:
    """What the context says of one fact."""
    for_memory = sentences(relation, case.fact.subject, case.fact.answer)
    # The plain statement comes first on both sides; further wordings are taken from opposite ends,
    # so that as few as can be are used by both.
    for_counter = sentences(relation, case.fact.subject, case.counterfactual)
    for_counter = [for_counter[0], *for_counter[:0:-1]]
    memory = _some(for_memory, mix.memory)
    counter = _some(for_counter, mix.counter)
    if mix.year:
        return f"From a document of {mix.year}: {' '.join([*memory, *counter])}"
    if mix.order == COUNTER_FIRST:
        return " ".join([*counter, *memory])
    if mix.order == IN_TURN:
        turns = zip_longest(memory, counter, fillvalue="")
        return " ".join(each for pair in turns for each in pair if each)
    return " ".join([*memory, *counter])


def _some(wordings: Sequence[str], count: int) -> list[str]:
    return [wordings[n % len(wordings)] for n in range(count)]


def with_evidence(
    model: InstrumentedModel, relation: Relation, format: Format, case: Case, mix: Mix
) -> Case:
    """The case with this context in place of the one statement.

    Raises:
        BadInput: a format that does not put the statement as it is.
    """
    plain = render(format, relation, case.fact.subject, case.counterfactual)
    statement = relation.fill("statement", case.fact.subject, case.counterfactual).text
    if statement not in plain.text:
        raise BadInput(
            f"The format {format.name!r} has no place for several sentences.",
            "a format with {statement}",
            "Choose another format, or leave out the part `evidence`.",
        )
    text = plain.text.replace(statement, evidence(relation, case, mix), 1)
    prompt = rendered(model, Prompt(text, {}, {}))
    return replace(case, prompt=prompt, ids=ids_of(model, prompt))


def unknown_cases(
    model: InstrumentedModel, closed: ClosedBook, format: Format, seed: int, most: int
) -> list[Case]:
    """As many facts that the model does not know; none where there are too few."""
    others = ClosedBook(
        closed.relation, closed.generated, [not yes for yes in closed.known], closed.first_token
    )
    try:
        return make_cases(model, others, format, seed, most, split=False)
    except BadInput:
        return []


def add_mixed_evidence(
    result: Result,
    model: InstrumentedModel,
    closed: ClosedBook,
    cases: Sequence[Case],
    format: Format,
    seed: int,
    most: int,
    progress: Progress,
) -> None:
    """The tables `evidence` and `evidence_popularity`, and what they say.

    Args:
        most: facts of either kind.
    """
    sides = {KNOWN: list(cases[:most]), UNKNOWN: unknown_cases(model, closed, format, seed, most)}
    rows, popular, outcomes = [], [], {}
    steps = [(side, mix) for side, some in sides.items() for mix in MIXES if some]
    for done, (side, mix) in enumerate(steps):
        progress(done / len(steps), f"Mixed evidence: {mix.name}, facts {side}")
        asked = [with_evidence(model, closed.relation, format, c, mix) for c in sides[side]]
        rates = CaseRunner(model, asked).rates()
        outcomes[side, mix.name] = np.array(rates.outcomes)
        rows.append(_row(rates, mix, side))
        if side == KNOWN:
            popular += _by_popularity(rates, mix, asked)
    result.tables["evidence"] = pd.DataFrame(rows)
    if popular:
        result.tables["evidence_popularity"] = pd.DataFrame(popular)
    _say_lone(result)
    _say_order(result, outcomes)
    _say_dates(result, outcomes)


def ratio(outcomes: Sequence[str]) -> tuple[float, float, float, int]:
    """(memorization ratio, low, high, answers that are one of the two); NaN where there are
    none.
    """
    memory = sum(each == "memory" for each in outcomes)
    decided = memory + sum(each == "context" for each in outcomes)
    if not decided:
        return float("nan"), 0.0, 1.0, 0
    return memory / decided, *wilson(memory, decided), decided


def _row(rates: Rates, mix: Mix, side: str) -> dict[str, object]:
    value, low, high, decided = ratio(rates.outcomes)
    return {
        "facts": side, "mix": mix.name, "for_memory": mix.memory, "for_counter": mix.counter,
        "order": mix.order, **{name: rates[name] for name in ("memory", "context", "other")},
        "ratio": value, "low": low, "high": high, "decided": decided, "n": rates.n,
    }  # fmt: skip


def _by_popularity(rates: Rates, mix: Mix, cases: Sequence[Case]) -> list[dict[str, object]]:
    """The ratio of the less and of the more popular half; nothing where popularity is not known."""
    sizes = [case.fact.popularity for case in cases]
    if any(size is None for size in sizes) or len(set(sizes)) < 2:
        return []
    order = np.argsort(np.array(sizes, float), kind="stable")
    halves = {"less popular": order[: len(order) // 2], "more popular": order[len(order) // 2 :]}
    rows: list[dict[str, object]] = []
    for name, chosen in halves.items():
        value, low, high, decided = ratio([rates.outcomes[i] for i in chosen])
        rows.append({"mix": mix.name, "half": name, "ratio": value, "low": low, "high": high,
                     "decided": decided})  # fmt: skip
    return rows


def _say_lone(result: Result) -> None:
    table = result.tables["evidence"].set_index(["facts", "mix"])
    lone = table.loc[(KNOWN, MIXES[0].name)]
    n, (even, decided) = int(lone["n"]), _even(table, KNOWN)
    words = (
        f"A contradiction alone is followed in {percent(lone['context'])} of"
        f" {counted(n, 'known fact')}; memory's answer stays in {percent(lone['memory'])}. With one"
        " sentence for each side "
    ) + (
        f"memory wins {percent(even)} of the answers that are one of the two, both orders together"
        if decided
        else "no answer is one of the two"
    )
    values = {"lone_context": float(lone["context"]), "even_ratio": even}
    if UNKNOWN in table.index.get_level_values(0):
        null, of_null = _even(table, UNKNOWN)
        values["even_ratio_unknown"] = null
        words += "; of facts that it does not know, where the true answer is no memory, "
        words += percent(null) if of_null else "no answer is one of the two"
        if decided and of_null:
            low, high = rates_apart(even, decided, null, of_null)
            words += (
                f" (apart by {percent(even - null, sign=True)}, 95 %: {percent(low, sign=True)} to"
                f" {percent(high, sign=True)})"
            )
    values = {key: value for key, value in values.items() if value == value}
    result.add(Finding("evidence", values, f"{words}.", unit="share of facts, of answers"))


def _even(table: pd.DataFrame, side: str) -> tuple[float, float]:
    """(memorization ratio with one sentence for each side, both orders together; how many it is
    of). The two orders ask the same facts, so an answer in one of them counts half.
    """
    both = table.loc[side].loc[[mix.name for mix in MIXES[2:4]]]
    total = float(both[["memory", "context"]].to_numpy().sum())
    ratio_of_both = float(both["memory"].sum()) / total if total else float("nan")
    return ratio_of_both, float(both["decided"].sum()) / 2


def _say_order(result: Result, outcomes: dict[tuple[str, str], np.ndarray]) -> None:
    first, last = (outcomes[KNOWN, mix.name] == "memory" for mix in MIXES[2:4])
    gain, (low, high) = paired_gain(last.astype(int) - first.astype(int))
    words = {
        True: "Who speaks last is believed more",
        False: "Who speaks first is believed more",
        None: "Whether the order counts is not told apart",
    }[sign(low, high)]
    result.add(
        Finding(
            "evidence_order", gain,
            f"{words}: memory's answer is given {percent(gain, sign=True)} more often where its"
            f" sentence stands behind the contradiction than where it stands before it (95 %:"
            f" {percent(low, sign=True)} to {percent(high, sign=True)}, the same facts in both).",
            unit="share of known facts", interval=(low, high),
        )
    )  # fmt: skip


def _say_dates(result: Result, outcomes: dict[tuple[str, str], np.ndarray]) -> None:
    old, new = (outcomes[KNOWN, mix.name] == "context" for mix in MIXES if mix.year)
    gain, (low, high) = paired_gain(new.astype(int) - old.astype(int))
    lead = {
        True: f"A document of {NEW} is believed more against memory than one of {OLD}",
        False: f"A document of {OLD} is believed more against memory than one of {NEW}",
        None: "Whether the date of a document counts is not told apart",
    }[sign(low, high)]
    result.add(
        Finding(
            "evidence_dates", gain,
            f"{lead}: a contradiction alone is followed in {percent(float(new.mean()))} of known"
            f" facts where its document is of {NEW}, in {percent(float(old.mean()))} where it is of"
            f" {OLD} ({percent(gain, sign=True)}, 95 %: {percent(low, sign=True)} to"
            f" {percent(high, sign=True)}, the same facts in both).",
            unit="share of known facts", interval=(low, high),
        )
    )  # fmt: skip
