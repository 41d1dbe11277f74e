"""Part `attestation`: whether it says that something follows because it knows the conclusion."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from analyses.measures import evidence_premises as premises
from analyses.measures.closed_book import EXTRA_TOKENS, closed_book
from analyses.measures.statistics import mean_interval, wilson
from analyses.measures.untrained_twin import untrained
from analyses.weights.memorized_or_understood.evidence_params import relations_of
from workbench.cost import Cost
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    from analyses.weights.memorized_or_understood.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

TWIN = "untrained"
_ASKED = 3  # facts asked closed-book for each that is used
_QUESTION, _CLOSED, _ANSWER = 50, 12, 4  # tokens
_CONDITIONS = sum(map(len, premises.CONDITIONS.values()))


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """Of asking facts closed-book, and every condition of the model and of its untrained twin."""
    asked = 2.0 * _ASKED * params.premise_facts
    conditions = 2 * _CONDITIONS * params.premise_facts
    return Cost(
        asked * (_CLOSED + _ANSWER + EXTRA_TOKENS) + conditions * _QUESTION,
        asked / 48 * (_ANSWER + EXTRA_TOKENS) + conditions / 32,
    )


def run(model: InstrumentedModel, params: Params, progress: Progress, result: Result) -> None:
    """Adds the tables `attestation` and `attestation_rates`, where enough facts are known and
    enough are not.
    """
    asked, n, (known, unknown) = _questions(model, params, progress.subprogress(0, 0.1))
    if n < premises.FEWEST:
        says = (
            f"Nothing can be said of attestation: of the facts asked, {model.card.name} knows"
            f" {known} and does not know {unknown}; as many of both from one relation, that is only"
            f" {n}, and {premises.FEWEST} are needed."
        )
        result.add(Finding("attestation", {"known": known, "unknown": unknown}, says, unit="facts"))
        return
    rows = pd.DataFrame([vars(question) for question in asked])
    odds = premises.read(model, asked, progress.subprogress(0.1, 0.55))
    twin = untrained(model, params.seed)
    of_twin = premises.read(twin, asked, progress.subprogress(0.55, 1))
    table = rows.assign(odds=odds, untrained_odds=of_twin)
    result.tables["attestation"] = table
    result.tables["attestation_rates"] = _rates(table, model.card.name)
    own = premises.attestation(table)
    null = premises.attestation(rows.assign(odds=of_twin))
    result.tables["attestation_tests"] = _tests(own, null, model.card.name)
    _say(result, model, own, null, n)


def _questions(
    model: InstrumentedModel, params: Params, progress: Progress
) -> tuple[list[premises.PremiseQuestion], int, tuple[int, int]]:
    """(what is asked, facts of either side, facts found known and unknown).

    Each relation gives as many known facts as unknown ones: with more of the one side, what the
    model says of a relation would be taken for what it says of what it knows.
    """
    relations = relations_of(params.premise_relations)
    share = -(-params.premise_facts // len(relations))
    asked: list[premises.PremiseQuestion] = []
    n = known = unknown = 0
    for number, relation in enumerate(relations):
        drawn = list(relation.facts)
        random.Random(params.seed).shuffle(drawn)
        some = replace(relation, facts=tuple(drawn[: 2 * _ASKED * share]))
        part = progress.subprogress(number / len(relations), (number + 1) / len(relations))
        closed = closed_book(model, some, part)
        wrong = [f for f, right in zip(some.facts, closed.known, strict=True) if not right]
        known, unknown = known + len(closed.facts), unknown + len(wrong)
        even = min(share, len(closed.facts), len(wrong))
        asked += premises.questions(relation, closed.facts[:even], wrong[:even], params.seed, 2 * n)
        n += even
    return asked, n, (known, unknown)


def _rates(table: pd.DataFrame, name: str) -> pd.DataFrame:
    rows = []
    for model, column in ((name, "odds"), (TWIN, "untrained_odds")):
        for (kind, premise), part in table.groupby(["kind", "premise"], sort=False):
            hits, n = int((part[column] > 0).sum()), len(part)
            low, high = wilson(hits, n)
            mean, (mean_low, mean_high) = mean_interval(part[column].to_numpy())
            rows.append({
                "model": model, "kind": kind, "premise": premise, "says_yes": hits / n, "low": low,
                "high": high, "odds": mean, "odds_low": mean_low, "odds_high": mean_high, "n": n,
            })  # fmt: skip
    return pd.DataFrame(rows)


def _tests(own: premises.Attestation, null: premises.Attestation, name: str) -> pd.DataFrame:
    rows = []
    for model, found in ((name, own), (TWIN, null)):
        for test, (mean, low, high) in (
            ("known or not", found.auc),
            ("supported or not", found.supported),
            ("supported or not, invented names", found.invented),
        ):
            rows.append({"test": test, "model": model, "mean": mean, "low": low, "high": high})
    return pd.DataFrame(rows)


def _say(
    result: Result,
    model: InstrumentedModel,
    own: premises.Attestation,
    null: premises.Attestation,
    n: int,
) -> None:
    auc, low, high = own.auc
    lead = (
        "Memory speaks where the premise should"
        if low > 0.5
        else "What it knows gets less of a yes, so memory does not speak for the premise"
        if high < 0.5
        else "Whether answers go by what is known is not told apart"
    )
    says = (
        f"{lead}: behind a premise that has nothing to do with it, a fact that the model knows gets"
        f" more of a yes than one that it doesn't with probability {auc:.2f} (95 %: {low:.2f} to"
        f" {high:.2f}; .5 is by the premise alone; untrained twin: {null.auc[0]:.2f},"
        f" {null.auc[1]:.2f} to {null.auc[2]:.2f}). Of {counted(n, 'known fact')} and"
        f" {n} others, the yes above the middle is {own.ratio[0]:.2f} times as frequent (95 %:"
        f" {own.ratio[1]:.2f} to {own.ratio[2]:.2f})."
    )
    values = {
        "auc": auc, "ratio": own.ratio[0], "plain_ratio": own.plain[0], "known": n, "unknown": n,
    }  # fmt: skip
    result.add(
        Finding("attestation", values, says, unit="probability, ratio",
                interval={"auc": (low, high), "ratio": own.ratio[1:]})
    )  # fmt: skip
    paired_low, paired_high = wilson(round(own.same_subject * own.paired), own.paired)
    result.add(
        Finding(
            "same_subject", own.same_subject,
            f"With the same subject, the answer that is true gets more of a yes than another one"
            f" for {percent(own.same_subject)} of {counted(own.paired, 'known fact')} (95 %:"
            f" {percent(paired_low)} to {percent(paired_high)}; chance is 50 %), though neither"
            f" follows: what a frequent name alone does not explain. Untrained twin:"
            f" {percent(null.same_subject)}.",
            unit="share of known facts", interval=(paired_low, paired_high),
        )
    )  # fmt: skip
    # An untrained model tells the two by their wording alone; what is more than that counts.
    can = own.supported[1] > max(0.5, null.supported[2])
    result.add(
        Finding(
            "supported", {"auc": own.supported[0], "invented": own.invented[0]},
            f"{'Premises count' if can else 'That premises count is not shown'}: one that supports"
            f" the hypothesis gets more of a yes than a random one with probability"
            f" {own.supported[0]:.2f} (95 %: {own.supported[1]:.2f} to {own.supported[2]:.2f};"
            f" untrained twin, by the wording alone, {null.supported[0]:.2f}), with invented names,"
            f" which nobody can have read, {own.invented[0]:.2f} ({own.invented[1]:.2f} to"
            f" {own.invented[2]:.2f}).",
            unit="probability",
            interval={"auc": own.supported[1:], "invented": own.invented[1:]},
        )
    )  # fmt: skip
