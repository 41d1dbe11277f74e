"""Part `structure`: items around one fact, asked in six forms (Cao et al. 2024).

Who has read one form of a question answers that form; who knows the fact answers the others too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.measures import understood_choices as asking
from analyses.measures.statistics import rates_apart, sign, wilson
from analyses.measures.understood_choices import choices
from analyses.measures.understood_items import ORIGINAL, ItemVersion, mixed
from analyses.measures.untrained_twin import untrained
from analyses.weights.memorized_or_understood.constants import (
    CLEAN,
    COMPARISON,
    FORMS,
    LEAST,
    LETTERED,
    MODEL,
    REVERSE,
    SINGLE,
    TRUE_FALSE,
    TWO_HOPS,
    UNTRAINED,
)
from hooks.model import load
from workbench import facts as known_facts
from workbench.cost import Cost
from workbench.facts import TWO_HOPS as TWO_HOP_TEMPLATES
from workbench.facts import Fact, Relation
from workbench.facts.template import fill
from workbench.result import Finding
from workbench.wording import percent, percent_span

if TYPE_CHECKING:
    from analyses.weights.memorized_or_understood.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

RELATIONS = ("capital", "language")
"""Facts that can be asked from both ends, and of which there are questions of two steps."""
_OPTIONS = 4
_LOADED = 10.0  # seconds for a clean model


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """Of every form of every fact, read by the model, its untrained twin and a clean model."""
    forms = _forms(params)
    tokens = sum(asking.tokens_read(model, versions, _shown(f)) for f, versions in forms.items())
    passes = 2.0 * sum(map(len, forms.values()))
    readers = 3 if params.clean else 2
    return Cost(forward=readers * tokens, passes=readers * passes,
                seconds=_LOADED if params.clean else 0.0)  # fmt: skip


def run(model: InstrumentedModel, params: Params, progress: Progress, result: Result) -> None:
    """Adds the tables `structure` and `structure_items`, and what is said of them."""
    forms = _forms(params)
    readers = [MODEL, UNTRAINED, *([CLEAN] if params.clean else [])]
    rows, answers = [], {}
    for at, who in enumerate(readers):
        part = progress.subprogress(at / len(readers), (at + 1) / len(readers))
        if who == CLEAN:
            part(0.0, f"Loading {params.clean}")
            asked = load(params.clean, device=str(model.device))
        else:
            asked = model if who == MODEL else untrained(model, params.seed)
        answers[who] = ask_forms(asked, forms, part)
        del asked  # the twin, before a clean model is loaded
        rows += [_row(who, form, answers[who], forms[form]) for form in FORMS]
    result.tables["structure"] = pd.DataFrame(rows)
    result.tables["structure_items"] = _items(forms, answers[MODEL])
    _say(result, model.card.name)


def ask_forms(
    model: InstrumentedModel, forms: dict[str, list[ItemVersion]], progress: Progress
) -> dict[str, np.ndarray]:
    """Of each form whether each fact is answered rightly, (fact,)."""
    found = {}
    for at, (form, versions) in enumerate(forms.items()):
        part = progress.subprogress(at / len(forms), (at + 1) / len(forms))
        chosen = choices(model, versions, _shown(form), part)
        if form == TRUE_FALSE:
            # A leaning towards yes is in both: the true sentence has to get more of a yes.
            yes = np.array([each.log_p[0] - each.log_p[1] for each in chosen]).reshape(-1, 2)
            found[form] = yes[:, 0] > yes[:, 1]
        else:
            found[form] = np.array([each.is_right for each in chosen])
    return found


def _shown(form: str) -> str:
    return asking.BOTH if form == LETTERED else asking.QUESTION


def _forms(params: Params) -> dict[str, list[ItemVersion]]:
    """Every form, the facts in the same order in each; true or false has two questions a fact."""
    lot = np.random.default_rng([params.seed, 17])
    chosen: list[tuple[Relation, Fact, str, str]] = []
    for name in RELATIONS:
        relation = known_facts.relation(name)
        hops = next(each for each in TWO_HOP_TEMPLATES if each.second == name)
        cities: dict[str, str] = {}
        for fact in known_facts.relation(hops.first).facts:
            cities.setdefault(fact.answer, fact.subject)
        known = sorted(relation.facts, key=lambda fact: -(fact.popularity or 0))
        there = [f for f in known if f.subject in cities and cities[f.subject] != f.answer]
        share = params.seeds_asked // len(RELATIONS)
        drawn = [there[int(i)] for i in lot.permutation(min(len(there), 2 * share))[:share]]
        chosen += [(relation, f, cities[f.subject], hops.template) for f in drawn]
    forms: dict[str, list[ItemVersion]] = {form: [] for form in FORMS}
    for relation, fact, city, template in chosen:
        for form, versions in _of(relation, fact, city, template, lot).items():
            forms[form] += versions
    return forms


def _of(
    relation: Relation, fact: Fact, city: str, template: str, lot: np.random.Generator
) -> dict[str, list[ItemVersion]]:
    answers = [a for a in relation.answers if a != fact.answer]
    wrong = [answers[int(i)] for i in lot.permutation(len(answers))[: _OPTIONS - 1]]
    others = [f.subject for f in relation.facts if f.answer != fact.answer]
    subjects = [others[int(i)] for i in lot.permutation(len(others))[: _OPTIONS - 1]]
    question = relation.fill("question", fact.subject, fact.answer).text
    options = mixed([fact.answer, *wrong], lot)
    two = mixed([fact.answer, wrong[0]], lot)

    def version(asks: str, choice: Sequence[str], right: str) -> ItemVersion:
        return ItemVersion(ORIGINAL, asks, tuple(choice), list(choice).index(right))

    sentences = [relation.fill("statement", fact.subject, a).text for a in (fact.answer, wrong[0])]
    return {
        SINGLE: [version(relation.closed_book_prompt(fact.subject).text, options, fact.answer)],
        REVERSE: [version(
            fill(relation.reverse, {"answer": fact.answer}).text,
            mixed([fact.subject, *subjects], lot), fact.subject,
        )],
        LETTERED: [version(question, options, fact.answer)],
        TRUE_FALSE: [
            version(f"True or false? {sentence}", ("true", "false"), right)
            for sentence, right in zip(sentences, ("true", "false"), strict=True)
        ],
        COMPARISON: [version(f"{question} {two[0]} or {two[1]}?", two, fact.answer)],
        TWO_HOPS: [version(fill(template, {"subject": city}).text.rstrip(), options, fact.answer)],
    }  # fmt: skip


def _row(
    who: str, form: str, answers: dict[str, np.ndarray], versions: Sequence[ItemVersion]
) -> dict[str, object]:
    """How often a form is answered: of all facts, and of those whose single item is, or is not."""
    right, single = answers[form], answers[SINGLE]
    chance = 0.5 if form == TRUE_FALSE else 1 / len(versions[0].options)
    low, high = wilson(int(right.sum()), len(right))
    row: dict[str, object] = {"model": who, "form": form, "rate": float(right.mean()), "low": low,
                              "high": high, "chance": chance, "n": len(right)}  # fmt: skip
    for name, own in {"known": right[single], "unknown": right[~single]}.items():
        row[f"{name}_n"] = len(own)
        row[name] = float(own.mean()) if len(own) else float("nan")
        row[f"{name}_low"], row[f"{name}_high"] = wilson(int(own.sum()), len(own))
    return row


def _items(forms: dict[str, list[ItemVersion]], answers: dict[str, np.ndarray]) -> pd.DataFrame:
    rows = []
    for at in range(len(forms[SINGLE])):
        for form in FORMS:
            versions = forms[form]
            per_fact = len(versions) // len(forms[SINGLE])
            version = versions[at * per_fact]
            rows.append({"fact": at, "form": form, "question": version.question,
                         "options": " / ".join(version.options), "answer": version.answer,
                         "right": bool(answers[form][at])})  # fmt: skip
    return pd.DataFrame(rows)


def _say(result: Result, name: str) -> None:
    """Whether what is known in one form is known in the others."""
    table = result.tables["structure"]
    rows = table[table["model"] == MODEL].set_index("form")
    single = rows.loc[SINGLE]
    above: list[str] = []
    below: list[str] = []
    values = {"single": float(single["rate"])}
    spread = {"single": (float(single["low"]), float(single["high"]))}
    for form in FORMS[1:]:
        row = rows.loc[form]
        key = form.replace(" ", "_")
        values[key], spread[key] = float(row["rate"]), (float(row["low"]), float(row["high"]))
        told = sign(float(row["low"]), float(row["high"]), at=float(row["chance"]))
        words = f"{form} {percent(row['rate'])} (guessing {percent(row['chance'])})"
        (above if told else below).append(words)
    says = (
        f"{name} completes {percent(single['rate'])} of the facts"
        f" ({percent_span(single['low'], single['high'])}). Asked about the same facts in other"
        " forms, it is above chance in"
        f" {', '.join(above) or 'none'}; not told apart from chance, or below:"
        f" {', '.join(below) or 'none'}."
    )
    if single["n"] < LEAST:
        says += " These are few facts."
    result.add(Finding("structure", values, says, unit="share of facts", interval=spread))
    if CLEAN in set(table["model"]):
        _say_clean(result, table, name)


def _say_clean(result: Result, table: pd.DataFrame, name: str) -> None:
    """Single items rise where they were read; what stands around them need not."""
    own, clean = (table[table["model"] == who].set_index("form") for who in (MODEL, CLEAN))
    values, spread = {}, {}
    for key, forms in {"single": (SINGLE,), "structure": FORMS[1:]}.items():
        (one, n), (other, of_other) = (
            (float(t.loc[list(forms), "rate"].mean()), float(t.loc[SINGLE, "n"]))
            for t in (own, clean)
        )
        values[key] = one - other
        spread[key] = rates_apart(one, n, other, of_other)
    says = (
        f"Against a clean model {name} answers {100 * values['single']:+.0f} points more of the"
        f" single items ({100 * spread['single'][0]:.0f} to {100 * spread['single'][1]:.0f}) and"
        f" {100 * values['structure']:+.0f} of the other forms"
        f" ({100 * spread['structure'][0]:.0f} to {100 * spread['structure'][1]:.0f})."
    )
    result.add(Finding("structure_against_clean", values, says.replace("-", "−"),
                       unit="share of facts", interval=spread))  # fmt: skip
