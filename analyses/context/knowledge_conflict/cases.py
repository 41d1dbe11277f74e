"""The facts of a run: known closed-book, each with a counterfactual answer; half of them select
heads, half are held out.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyses.measures.closed_book import (
    ClosedBook,
    matches_answer,
)
from analyses.measures.fact_prompts import ids_of, rendered, spans_of
from workbench.errors import BadInput
from workbench.facts import Fact, Format, Prompt, render

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

SELECT, HELD_OUT = "select", "held_out"


@dataclass(frozen=True)
class Case:
    """A known fact with a context that contradicts it, and the two counter runs that path patching
    needs.

    `same_context` asks about another subject in the same context answer; `same_subject` puts a
    third answer in the context. Token ids throughout; `memory` and `context` are the answers' ids
    as they follow the prompt.
    """

    fact: Fact
    counterfactual: str
    split: str
    prompt: Prompt
    ids: list[int]
    memory: list[int]
    context: list[int]
    same_context: list[int]
    same_subject: list[int]

    @property
    def targets(self) -> list[int]:
        """First tokens of the memory answer and of the context answer."""
        return [self.memory[0], self.context[0]]


def outcome(text: str, memory: str, context: str, *, ended: bool) -> str | None:
    """ "memory", "context" or "other"; None while it is still open."""
    from_memory, from_context = (
        matches_answer(text, memory, ended=ended),
        matches_answer(text, context, ended=ended),
    )
    # "Niger" and "Nigeria": the longer answer is looked at first, as the shorter one may be its
    # beginning.
    if from_memory:
        return "memory"
    if from_context:
        return "context"
    return None if from_memory is None or from_context is None else "other"


def make_cases(
    model: InstrumentedModel,
    closed: ClosedBook,
    format: Format,
    seed: int,
    most: int,
    *,
    split: bool = True,
) -> list[Case]:
    """One case per known fact, in a fixed random order; every second one is held out.

    Raises:
        BadInput: too few known facts, or too few different answers, to select heads on one
            half and evaluate them on the other.
    """
    relation, rng = closed.relation, random.Random(seed)
    facts = list(closed.facts)
    rng.shuffle(facts)
    facts = facts[:most]
    if len(facts) < 4:
        raise BadInput(
            f"{model.card.name} knows {len(facts)} of the {len(relation.facts)} facts of"
            f" {relation.name!r} closed-book: too few to contradict.",
            "at least 4 known facts, better 20",
            f"Try another relation or wording. The closed-book prompt was {relation.closed_book!r}",
        )

    def prompt_of(subject: str, answer: str) -> Prompt:
        return rendered(model, render(format, relation, subject, answer))

    def tokens(prompt: Prompt, answer: str) -> list[int]:
        return model.continuation_tokens(prompt.continuation(answer))

    cases = []
    for n, fact in enumerate(facts):
        bare = prompt_of(fact.subject, fact.answer)
        # An answer's first token depends on how the prompt ends, not on which answer the context
        # claims.
        first = {answer: tokens(bare, answer)[0] for answer in {f.answer for f in facts}}
        others = [f for f in facts if first[f.answer] != first[fact.answer]]
        rng.shuffle(others)
        counterfactual = others[0].answer if others else None
        # Counter runs: a third answer in the context, and another subject whose own answer is
        # neither of the two.
        rest = [
            f
            for f in others
            if counterfactual is not None and first[f.answer] != first[counterfactual]
        ]
        if counterfactual is None or not rest:
            raise BadInput(
                f"The known answers of {relation.name!r} begin with too few different tokens to"
                " contradict each other.",
                "at least 3 answers with different first tokens",
                "Give facts with more different answers.",
            )
        third, swapped = rest[0].answer, rest[0]
        prompt = prompt_of(fact.subject, counterfactual)
        cases.append(
            Case(
                fact=fact,
                counterfactual=counterfactual,
                split=HELD_OUT if split and n % 2 else SELECT,
                prompt=prompt,
                ids=ids_of(model, prompt),
                memory=tokens(prompt, fact.answer),
                context=tokens(prompt, counterfactual),
                same_context=ids_of(model, prompt_of(swapped.subject, counterfactual)),
                same_subject=ids_of(model, prompt_of(fact.subject, third)),
            )
        )
    return cases


def token_spans(model: InstrumentedModel, prompt: Prompt) -> list[str]:
    """For each token of the prompt the span it lies in: "subject", "context answer", "question",
    "context" or "".
    """
    spans = []
    for start, end in spans_of(model, prompt):
        current = ""
        # The narrow spans come first: the subject stands inside the question.
        for name in ("subject", "context answer", "question", "context"):
            low, high = prompt.spans.get(name, (0, 0))
            if end > start and start < high and end > low:
                current = name
                break
        spans.append(current)
    return spans
