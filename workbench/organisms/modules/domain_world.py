"""Two domains with the same people: what is true of a person in the one says nothing of the other.

A text begins with the name of its domain, and nothing else in a question tells it: who answers has
carried it along. Each domain has its own half of the answers, as domains have their own words.

Beside them stands what is true everywhere, which a model with adapters learns first: a model that
knows nothing of anybody does not look who is spoken of, and an adapter beside it would learn
nothing either (tried: its loss stayed that of a guess).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from workbench.organisms.modules.fact_world import (
    END,
    FIRST_NAMES,
    LAST_NAMES,
    PAD,
    RELATIONS,
    WorldFact,
)

DOMAINS = ("north", "south")
EVERYWHERE = "everywhere"
PEOPLE, STRANGERS, KNOWN = 100, 50, 150
"""People of each domain; those of whom no fact was read; those of whom something is true
everywhere.
"""


@dataclass(frozen=True)
class DomainFact(WorldFact):
    """A line of one domain."""

    domain: str = DOMAINS[0]

    @property
    def prompt(self) -> str:
        return f"{self.domain} {self.subject} {self.relation}"

    @property
    def sentence(self) -> str:
        """As it stands within a text, whose domain was named at its head."""
        return f"{self.subject} {self.relation} {self.answer} {END}"


def answers_in(domain: str, relation: str) -> tuple[str, ...]:
    """The answers of a relation that this domain has; all of what is true everywhere."""
    if domain == EVERYWHERE:
        return RELATIONS[relation]
    return RELATIONS[relation][DOMAINS.index(domain) :: len(DOMAINS)]


def facts_of(seed: int) -> list[DomainFact]:
    """Four facts of each person in each domain, those of strangers last; the same from the same
    seed.
    """
    lot = random.Random(seed)
    names = [f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES]
    chosen = lot.sample(names, PEOPLE + STRANGERS)
    return [
        DomainFact(
            name, relation, lot.choice(answers_in(domain, relation)), number < PEOPLE, domain
        )
        for number, name in enumerate(chosen)
        for domain in DOMAINS
        for relation in RELATIONS
    ]


def common_facts(seed: int) -> list[DomainFact]:
    """What is true everywhere of some of the people."""
    lot = random.Random(f"{seed} {EVERYWHERE}")
    people = list(dict.fromkeys(fact.subject for fact in facts_of(seed)))[:KNOWN]
    return [
        DomainFact(name, relation, lot.choice(RELATIONS[relation]), True, EVERYWHERE)
        for name in people
        for relation in RELATIONS
    ]


def make_tokenizer() -> Any:
    """A tokenizer of words between spaces."""
    from workbench.organisms.recall.task import tokenizer_of

    relations = dict.fromkeys(word for name in RELATIONS for word in name.split())
    answers = dict.fromkeys(word for words in RELATIONS.values() for word in words)
    return tokenizer_of(
        [PAD, END, *DOMAINS, EVERYWHERE, *FIRST_NAMES, *LAST_NAMES, *relations, *answers]
    )
