"""Questions of two steps: the country of a city, then its capital, without naming the country.

They show whether a fact is known, or only its wording (Cohen et al. 2023, RippleEdits, call them
compositional).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from workbench.facts.built_in import relation
from workbench.facts.relation import Prompt
from workbench.facts.template import fill

_COUNTRY = "the country in which the city of {subject} lies"


@dataclass(frozen=True)
class TwoHop:
    """A question about the answer of another: `second` of the `first` of a subject.

    Attributes:
        first, second: names of built-in relations; the answers of the first are subjects of the
            second.
        template: the prompt; has {subject}, a subject of the first.
    """

    first: str
    second: str
    template: str


TWO_HOPS = (
    TwoHop("city-country", "capital", f"The capital of {_COUNTRY} is"),
    TwoHop("city-country", "language", f"The main language spoken in {_COUNTRY} is"),
    TwoHop("city-country", "currency", f"The unit of currency in {_COUNTRY} is the"),
    TwoHop("city-country", "continent", "The country of the city {subject} is on the continent of"),
)


@dataclass(frozen=True)
class TwoHopQuestion:
    """One question of two steps.

    Attributes:
        hops: which question it is.
        subject: of the first step ("Munich").
        bridge: the answer of the first, which the prompt does not say ("Germany").
        answer: what is true ("Berlin").
        prompt: the question as a prompt.
    """

    hops: TwoHop
    subject: str
    bridge: str
    answer: str
    prompt: Prompt


def two_hop_questions(hops: TwoHop) -> Iterator[TwoHopQuestion]:
    """Every question of this kind that the built-in facts have both steps of, in their order."""
    second = {fact.subject: fact.answer for fact in relation(hops.second).facts}
    for fact in relation(hops.first).facts:
        if fact.answer in second:
            prompt = Prompt.of(fill(hops.template, {"subject": fact.subject}))
            yield TwoHopQuestion(hops, fact.subject, fact.answer, second[fact.answer], prompt)
