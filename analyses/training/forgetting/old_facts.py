"""The facts that may be forgotten: those that the base model knows, and some that it never knew."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.closed_book import closed_book
from analyses.measures.forgetting_answers import AskedFact, answer_scores, fact_prompts
from analyses.training.forgetting.params import relations_of
from workbench.errors import BadInput
from workbench.facts import Fact, Relation

if TYPE_CHECKING:
    from analyses.training.forgetting.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_ROUND = 2  # times as many candidates are asked at once as facts are missing


@dataclass(frozen=True)
class OldFacts:
    """The facts of a run.

    Attributes:
        facts: known ones that are tested, in their closed-book wording.
        with_shots: the same behind known facts of their relation that are not tested; empty where
            a relation has none to spare.
        unknown: facts of the same relations that the base does not answer, as many at most.
        asked: how many candidates were asked.
    """

    facts: list[AskedFact]
    with_shots: list[AskedFact]
    unknown: list[AskedFact]
    asked: int

    @property
    def labels(self) -> list[str]:
        """What a probe is to tell: relation and answer of each fact."""
        return [f"{fact.relation}: {fact.answer}" for fact in self.facts]

    def some(self, most: int) -> list[AskedFact]:
        """So many of them at most, evenly from all relations."""
        if len(self.facts) <= most:
            return self.facts
        at = np.linspace(0, len(self.facts) - 1, most).round().astype(int)
        return [self.facts[n] for n in at]

    def commonest(self) -> np.ndarray:
        """Of each fact, whether its answer is the commonest of its relation: what somebody who
        knows the relation alone would get right.
        """
        best: dict[str, str] = {}
        for name in dict.fromkeys(fact.relation for fact in self.facts):
            answers = [fact.answer for fact in self.facts if fact.relation == name]
            best[name] = max(dict.fromkeys(answers), key=answers.count)
        return np.array([float(best[fact.relation] == fact.answer) for fact in self.facts])


def old_facts(model: InstrumentedModel, params: Params, progress: Progress) -> OldFacts:
    """Known facts of the relations, evenly; the first `shots` of each stand in front of others.

    Raises:
        BadInput: the model knows too few of them.
    """
    relations = relations_of(params)
    share = -(-params.facts // len(relations)) + params.shots
    plain: list[AskedFact] = []
    shots: list[AskedFact] = []
    unknown: list[AskedFact] = []
    asked = 0
    for n, relation in enumerate(relations):
        at = progress.subprogress(n / len(relations), (n + 1) / len(relations))
        known, other, tried = _known(model, relation, share, params.seed, at)
        asked += tried
        front, tested = known[: params.shots], known[params.shots :]
        if len(tested) < 2:  # few are known: none can be spared
            front, tested = [], known
        plain += fact_prompts(model, relation, tested)
        if front:
            shots += fact_prompts(model, relation, tested, front)
        unknown += fact_prompts(model, relation, other[: len(tested)])
    if len(plain) < 2:
        names = ", ".join(relation.name for relation in relations)
        raise BadInput(
            f"{model.card.name} knows {len(plain)} of {asked} facts of {names} closed-book, so"
            " there is nothing to forget.",
            "two facts or more that it knows",
            "Try other relations, or facts of your own (facts_file).",
        )
    return OldFacts(plain, shots if len(shots) == len(plain) else [], unknown, asked)


def _known(
    model: InstrumentedModel, relation: Relation, most: int, seed: int, progress: Progress
) -> tuple[list[Fact], list[Fact], int]:
    """(known facts, others, how many were asked). Known is what is said whole, both as text and
    token by token.
    """
    rows = list(relation.facts)
    random.Random(seed).shuffle(rows)
    known: list[Fact] = []
    other: list[Fact] = []
    done = 0
    while done < len(rows) and len(known) < most:
        batch = rows[done : done + _ROUND * (most - len(known))]
        done += len(batch)
        found = closed_book(model, replace(relation, facts=tuple(batch)), progress)
        said = answer_scores(model, fact_prompts(model, relation, batch)).said
        for fact, yes, whole in zip(batch, found.known, said, strict=True):
            if yes and whole:
                known.append(fact)
            elif not yes and not whole:
                other.append(fact)
    return known[:most], other, done


def halves_of(labels: Sequence[str], seed: int) -> np.ndarray:
    """Which facts are in the second half, (fact,) bool: each answer evenly in both."""
    order = list(range(len(labels)))
    random.Random(f"{seed} halves").shuffle(order)
    order.sort(key=lambda n: labels[n])  # stable: by lot within an answer
    second = np.zeros(len(labels), bool)
    second[order[1::2]] = True
    return second
