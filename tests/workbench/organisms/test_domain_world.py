"""Two domains with the same people: what is true in one says nothing of the other."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

import workbench as wb
from workbench.memory_lm.domain_adapters import NONE, DomainAdapters
from workbench.organisms.modules import (
    domain_training,
    domain_world,
    families,
    module_record,
)
from workbench.organisms.modules.domain_world import DOMAINS
from workbench.progress import Progress


def test_both_domains_have_the_same_people_and_their_own_answers() -> None:
    facts = domain_world.facts_of(0)
    assert facts == domain_world.facts_of(0) != domain_world.facts_of(1)
    by_domain = {d: [fact for fact in facts if fact.domain == d] for d in DOMAINS}
    asked = [[(fact.subject, fact.relation) for fact in some] for some in by_domain.values()]
    assert asked[0] == asked[1]
    said = [{fact.answer for fact in some} for some in by_domain.values()]
    assert not said[0] & said[1]
    assert sum(fact.read for fact in facts) == 2 * 4 * domain_world.PEOPLE
    tokens = domain_world.make_tokenizer()([f"{f.prompt} {f.answer}" for f in facts])["input_ids"]
    assert {len(ids) for ids in tokens} == {1 + domain_training.ANSWER_AT + 1}
    assert 0 not in {token for ids in tokens for token in ids}


def test_a_text_is_of_one_domain() -> None:
    facts = [fact for fact in domain_world.facts_of(0) if fact.read]
    sentences = domain_training.sentences_of(facts)
    assert sentences.shape == (2, len(facts) // 2, domain_training.SENTENCE)
    lot, tokenizer = torch.Generator().manual_seed(0), domain_world.make_tokenizer()
    for texts in (domain_training._texts(sentences, lot), domain_training._talk(lot)):
        for row in tokenizer.batch_decode(texts[:8]):
            domain, *words = row.split()
            answers = words[domain_training.ANSWER_AT :: domain_training.SENTENCE]
            relations = [" ".join(words[n : n + 2]) for n in range(2, len(words), 6)]
            for answer, relation in zip(answers, relations, strict=True):
                assert answer in domain_world.answers_in(domain, relation)
    own = domain_training._texts(sentences[1:], lot, [1])
    assert set(own[:, 0].tolist()) == {tokenizer(DOMAINS[1])["input_ids"][0]}


def test_adapters_are_trained_beside_an_mlp_that_stays(monkeypatch: Any) -> None:
    short = replace(families.FAMILIES["domains-in-adapters"], steps=3)
    monkeypatch.setattr(domain_training, "GATE_STEPS", 3)
    monkeypatch.setattr(domain_training, "ADAPTER_STEPS", 3)
    held: list[tuple[int | None, dict[str, torch.Tensor]]] = []
    train = domain_training._Stage.train

    def watched(self: Any, *given: Any) -> None:
        train(self, *given)
        (memory,) = [m for m in self.model.modules() if isinstance(m, DomainAdapters)]
        state = {name: value.clone() for name, value in self.model.state_dict().items()}
        held.append((memory.only, state))

    monkeypatch.setattr(domain_training._Stage, "train", watched)
    model = domain_training.train_domains(short, 0, Progress())
    changed = [
        {name for name, value in after.items() if not torch.equal(value, before[name])}
        for (_, before), (_, after) in pairwise(held)
    ]
    kinds = [
        {n.split("mlp.")[1].split(".weight")[0].rsplit(".", 1)[0] for n in some} for some in changed
    ]
    assert kinds == [{"adapters.0"}, {"adapters.1"}, {"gate"}]
    assert [only for only, _ in held] == [NONE, 0, 1, None]
    assert next(m for m in model.modules() if isinstance(m, DomainAdapters)).only is None


@pytest.mark.parametrize("name", ["domains-in-experts", "domains-in-adapters"])
def test_what_ships_answers_by_its_domain(name: str) -> None:
    place = families.home(name)
    assert place is not None
    assert sum(file.stat().st_size for file in place.iterdir()) < 2 * 10**6
    record = module_record.read(place)
    assert record is not None
    model = wb.load(f"organism/{name}").module
    facts = domain_world.facts_of(record.seed)
    for read, share in ((True, record.recall), (False, record.guessed)):
        some = [fact for fact in facts if fact.read is read]
        assert abs(domain_training.domain_recall(model, some) - share) < 0.01
    assert record.recall > 0.9
    assert record.guessed < 0.15
