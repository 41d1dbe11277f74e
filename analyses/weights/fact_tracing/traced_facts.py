"""The facts of a run: those that the model knows, as tokens, with the subject's place."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from analyses.measures.closed_book import closed_book
from analyses.weights.fact_tracing.constants import FIRST, FURTHER, LAST, MIDDLE, SUBJECT
from analyses.weights.fact_tracing.params import relations_of
from workbench.errors import BadInput
from workbench.facts import Relation
from workbench.facts.relation import joined

if TYPE_CHECKING:
    from analyses.weights.fact_tracing.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_ROUND = 3  # times as many candidates are asked at once as facts are missing


@dataclass(frozen=True)
class TracedFact:
    """A fact as the model reads it.

    Attributes:
        relation: its relation's name; "yours" of a typed one.
        text: the prompt.
        ids: its tokens.
        subject_at: the subject's first position, and the one behind its last.
        target: the first token of the answer, which is watched.
        said: what the model answers.
        known: whether that is the answer.
    """

    relation: str
    subject: str
    answer: str
    text: str
    ids: list[int]
    subject_at: tuple[int, int]
    target: int
    said: str = ""
    known: bool = True

    @property
    def first(self) -> int:
        """The first token that is corrupted."""
        return self.subject_at[0]

    @property
    def subject_tokens(self) -> int:
        return self.subject_at[1] - self.subject_at[0]

    def token_class(self, pos: int) -> str:
        """Which of `CLASSES` a position from the subject on is of."""
        start, end = self.subject_at
        if pos == len(self.ids) - 1:
            return LAST
        if pos == end - 1:
            return SUBJECT
        if pos >= end:
            return FURTHER
        return FIRST if pos == start else MIDDLE


@dataclass(frozen=True)
class Chosen:
    """The facts that are traced.

    Attributes:
        asked: how many candidates were asked closed-book.
        known: how many of them the model knows.
        relations: what they were drawn from; none where the fact was typed.
    """

    facts: list[TracedFact]
    asked: int
    known: int
    relations: list[Relation]


def as_tokens(
    model: InstrumentedModel, text: str, subject: str, answer: str, relation: str, said: str = ""
) -> TracedFact:
    """A fact as the model reads it.

    Raises:
        BadInput: an answer of no tokens, a subject that is not there or stands at the very end.
    """
    text = text.rstrip(" ")
    start = text.rfind(subject)
    if start < 0:
        raise BadInput(
            f"The subject {subject!r} does not stand in the prompt.",
            f"a part of {text!r}",
            "Write it as it stands there.",
        )
    spans, end = model.text.spans(text), start + len(subject)
    inside = [n for n, (low, high) in enumerate(spans) if low < end and high > start]
    answers = model.continuation_tokens(joined(text, answer)[len(text) :]) if answer.strip() else []
    if not answers:
        raise BadInput(
            f"The answer {answer!r} has no token.", "some text", "Write how the prompt goes on."
        )
    ids = model.tokens(text)
    if inside[-1] == len(ids) - 1:
        raise BadInput(
            f"The subject {subject!r} ends the prompt, so no token behind it can read it.",
            "a prompt that goes on behind the subject",
            "Write it so that something stands between subject and answer.",
        )
    at = inside[0], inside[-1] + 1
    return TracedFact(relation, subject, answer, text, ids, at, answers[0], said)


def choose(model: InstrumentedModel, params: Params, progress: Progress) -> Chosen:
    """The facts of these parameters that the model knows, those whose subjects have several tokens
    first: only they tell a subject's last token from its first.

    Raises:
        BadInput: the model knows none of them.
    """
    if params.is_own():
        return _typed(model, params, progress)
    chosen = known_facts_of(model, relations_of(params), params, progress)
    if not chosen.facts:
        names = ", ".join(relation.name for relation in chosen.relations)
        raise BadInput(
            f"{model.card.name} knows none of {chosen.asked} facts of {names} closed-book.",
            "one fact or more that it knows",
            "Try another relation, or set “unknown” to trace answers that it does not give.",
        )
    return chosen


def known_facts_of(
    model: InstrumentedModel, relations: Sequence[Relation], params: Params, progress: Progress
) -> Chosen:
    """Those facts of these relations that the model knows in their closed-book wording, asked in
    rounds until there are enough.
    """
    rng, waiting = random.Random(params.seed), {}
    for relation in relations:
        rows = list(relation.facts)
        rng.shuffle(rows)
        waiting[relation.name] = rows
    found: dict[str, list[TracedFact]] = {relation.name: [] for relation in relations}
    share, asked = -(-params.facts // max(1, len(relations))), 0
    for n, relation in enumerate(relations):
        at = progress.subprogress(n / len(relations), (n + 1) / len(relations))
        while waiting[relation.name] and len(found[relation.name]) < share:
            missing = _ROUND * (share - len(found[relation.name]))
            batch, rest = waiting[relation.name][:missing], waiting[relation.name][missing:]
            waiting[relation.name], asked = rest, asked + len(batch)
            found[relation.name] += _known(
                model, replace(relation, facts=tuple(batch)), at, params.unknown
            )
    known = sum(fact.known for rows in found.values() for fact in rows)
    return Chosen(_spread(list(found.values()), params.facts), asked, known, list(relations))


def _known(
    model: InstrumentedModel, relation: Relation, progress: Progress, unknown: bool
) -> list[TracedFact]:
    closed = closed_book(model, relation, progress)
    rows = zip(relation.facts, closed.known, closed.first_token, closed.generated, strict=True)
    made = []
    for fact, whole, first, said in rows:
        if unknown or (whole and first):
            text = relation.closed_book_prompt(fact.subject).text
            one = as_tokens(model, text, fact.subject, fact.answer, relation.name, said.strip())
            made.append(replace(one, known=whole and first))
    return made


def _spread(groups: Sequence[list[TracedFact]], most: int) -> list[TracedFact]:
    """As many of each relation as there are; subjects of several tokens before those of one."""
    ordered = [sorted(rows, key=lambda fact: fact.subject_tokens == 1) for rows in groups]
    longest = max(map(len, ordered), default=0)
    turns = [rows[n] for n in range(longest) for rows in ordered if n < len(rows)]
    return turns[:most]


def _typed(model: InstrumentedModel, params: Params, progress: Progress) -> Chosen:
    """The one fact that somebody typed.

    Raises:
        BadInput: the model says something else.
    """
    progress(0.0, "Asking for the fact")
    subject, answer = params.subject.strip(), params.answer.strip()
    fact = as_tokens(model, params.prompt, subject, answer, "yours")
    tokens = len(model.continuation_tokens(" " + answer)) + 2
    said = model.generate(fact.text, max_new_tokens=tokens)
    said = said.removeprefix(fact.text).strip()
    first = int(model.next_logits([fact.ids])[0].argmax())
    if first != fact.target and not params.unknown:
        raise BadInput(
            f"{model.card.name} does not know this fact: it goes on with {said!r}.",
            f"a prompt that it completes with {answer!r}",
            "Word it otherwise, or set “unknown” to trace the answer all the same.",
        )
    return Chosen([replace(fact, said=said)], 1, int(first == fact.target), [])
