"""Attestation: what is asked, how it is read, and whether a model that answers by memory is told
from one that answers by the premise.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch

from analyses.measures import evidence_premises as premises
from workbench import facts
from workbench.progress import Progress


@pytest.fixture(scope="module")
def asked() -> list[premises.PremiseQuestion]:
    relation = facts.relation("capital")
    return premises.questions(relation, relation.facts[:5], relation.facts[5:9], seed=1)


def test_every_fact_is_asked_in_every_condition(asked: list[premises.PremiseQuestion]) -> None:
    counts = pd.DataFrame([vars(q) for q in asked]).groupby(["kind", "premise"]).size()
    facts_of = {premises.UNKNOWN: 4}
    assert counts.to_dict() == {
        (kind, premise): facts_of.get(kind, 5)
        for kind, given in premises.CONDITIONS.items()
        for premise in given
    }


def test_a_random_premise_names_both_and_does_not_say_the_hypothesis(
    asked: list[premises.PremiseQuestion],
) -> None:
    relation = facts.relation("capital")
    for question in asked:
        if question.kind == premises.KNOWN and question.premise != premises.BARE:
            fact = relation.facts[question.fact]
            premise = question.prompt.splitlines()[0]
            assert fact.subject in premise
            assert fact.answer in premise
            assert ("capital" in premise) == (question.premise == premises.SUPPORT)
    invented = [q.prompt for q in asked if q.kind == premises.INVENTED]
    names = {name for fact in relation.facts for name in (fact.subject, fact.answer)}
    assert not any(name in prompt for name, prompt in product(names, invented))


@pytest.mark.parametrize("name", list(facts.relations()))
def test_a_supporting_premise_is_not_the_hypothesis(name: str) -> None:
    relation = facts.relation(name)
    for fact in relation.facts[:8]:
        hypothesis = relation.fill("statement", fact.subject, fact.answer).text
        premise = premises.supporting(relation, fact.subject, fact.answer)
        assert premise != hypothesis
        assert fact.subject in premise
        assert premise.endswith(f"{fact.answer}.")


def test_reading_is_as_one_question_after_another(llama, asked) -> None:
    some = asked[:7]
    found = premises.read(llama, some, Progress(), batch=3)
    before, yes, no = premises.answer_tokens(llama)
    said = llama.text.decode_continuation([*before, yes[0]]).strip().lower()
    assert said
    assert "yes".startswith(said)
    for question, odds in zip(some, found, strict=True):
        logits = llama.forward(
            input_ids=torch.tensor([[*llama.tokens(question.prompt), *before]])
        ).logits[0, -1]
        p = logits.detach().double().softmax(-1)
        expected = math.log(sum(p[i] for i in yes)) - math.log(sum(p[i] for i in no))
        assert odds == pytest.approx(expected, abs=1e-5)


def _answers(by_memory: float, by_premise: float, seed: int = 0) -> pd.DataFrame:
    """Two relations, one of which a model says yes to more readily, and knows more of."""
    rng = np.random.default_rng(seed)
    rows = []
    for relation, (known, unknown, ready) in {"a": (30, 10, 2.0), "b": (10, 30, -2.0)}.items():
        for number in range(known + unknown):
            kinds = (
                [premises.KNOWN, premises.FALSE, premises.INVENTED]
                if number < known
                else [premises.UNKNOWN]
            )
            for kind in kinds:
                for premise in premises.CONDITIONS[kind]:
                    odds = ready + rng.normal() * 0.5
                    odds += by_memory * (kind == premises.KNOWN)
                    odds += by_premise * (premise == premises.SUPPORT)
                    rows.append({"fact": f"{relation}{number}", "relation": relation, "kind": kind,
                                 "premise": premise, "odds": odds})  # fmt: skip
    return pd.DataFrame(rows)


def test_one_that_answers_by_memory_is_told() -> None:
    found = premises.attestation(_answers(by_memory=2, by_premise=0))
    assert found.auc[1] > 0.8
    assert found.ratio[1] > 1
    assert found.same_subject > 0.9
    assert found.paired == 40
    assert found.supported[1] < 0.5 < found.supported[2]


def test_one_that_answers_by_the_premise_is_at_chance_though_relations_differ() -> None:
    """Known facts are mostly of the relation that it says yes to: no reason to say attestation."""
    found = premises.attestation(_answers(by_memory=0, by_premise=5))
    assert found.auc[1] < 0.5 < found.auc[2]
    assert found.ratio[1] < 1 < found.ratio[2]
    assert 0.3 < found.same_subject < 0.7
    assert found.supported[1] > 0.5
    assert found.invented[1] > 0.5


def test_a_ratio_and_its_interval() -> None:
    ratio, low, high = premises.rate_ratio(20, 40, 10, 40)
    assert ratio == pytest.approx((20.5 / 41) / (10.5 / 41))
    rng = np.random.default_rng(0)
    one, other = rng.binomial(40, 0.5, 40_000), rng.binomial(40, 0.25, 40_000)
    drawn = np.log((one + 0.5) / (other + 0.5))
    assert np.log(high / low) == pytest.approx(2 * 1.96 * drawn.std(), rel=0.1)
    assert all(math.isnan(x) for x in premises.rate_ratio(0, 10, 0, 10))
    assert math.isfinite(premises.rate_ratio(5, 10, 0, 10)[2])
