"""The facts a memory is asked for: those an organism was trained on, or those a model knows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyses.measures.closed_book import closed_book
from analyses.modules.memory_modules.params import relations_of
from workbench.errors import BadInput
from workbench.facts.relation import joined
from workbench.organisms.modules import module_record

if TYPE_CHECKING:
    from analyses.modules.memory_modules.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_AT_ONCE = 64


@dataclass(frozen=True)
class MemoryQuestion:
    """A fact as a prompt that it completes.

    Attributes:
        ids: tokens of the prompt.
        target: the first token of the answer.
    """

    relation: str
    subject: str
    prompt: str
    answer: str
    ids: tuple[int, ...]
    target: int


@dataclass(frozen=True)
class KnownFacts:
    """Attributes:
    known: those that the model answers, in the order they were drawn.
    asked: how many were asked.
    never: of an organism, share of facts it never read that it answers; None elsewhere.
    """

    known: list[MemoryQuestion]
    asked: int
    never: float | None = None


def choose(model: InstrumentedModel, params: Params, progress: Progress) -> KnownFacts:
    """The facts of these parameters that the model knows.

    Raises:
        BadInput: fewer than two.
    """
    record = None
    if params.facts_file is None:
        record = module_record.read_home(model.module)
    most = max(params.facts + params.others, params.usage)
    if record is not None:
        facts = [fact for fact in record.facts() if fact.read]
        random.Random(params.seed).shuffle(facts)
        rows = [
            as_question(model, fact.relation, fact.subject, fact.prompt, fact.answer)
            for fact in facts[:most]
        ]
        found = KnownFacts(answered(model, rows, progress), len(rows), record.guessed)
    else:
        found = _of_relations(model, params, most, progress)
    if len(found.known) < 2:
        raise BadInput(
            f"{model.card.name} knows {len(found.known)} of {found.asked} facts closed-book.",
            "two facts or more that it knows",
            "Try other relations, or facts of your own.",
        )
    return found


def _of_relations(
    model: InstrumentedModel, params: Params, most: int, progress: Progress
) -> KnownFacts:
    from dataclasses import replace

    relations = relations_of(params)
    lot, asked = random.Random(params.seed), 0
    per_relation: list[list[MemoryQuestion]] = []
    for n, relation in enumerate(relations):
        at = progress.subprogress(n / len(relations), (n + 1) / len(relations))
        facts = list(relation.facts)
        lot.shuffle(facts)
        # Closed-book answers take far longer than what is counted over them.
        some = replace(relation, facts=tuple(facts[: min(most, _asked(params, len(relations)))]))
        closed = closed_book(model, some, at)
        asked += len(some.facts)
        per_relation.append(
            [
                as_question(
                    model,
                    relation.name,
                    fact.subject,
                    relation.closed_book_prompt(fact.subject).text,
                    fact.answer,
                )
                for fact, whole, first in zip(
                    some.facts, closed.known, closed.first_token, strict=True
                )
                if whole and first
            ]
        )
    longest = max(map(len, per_relation), default=0)
    turns = [rows[n] for n in range(longest) for rows in per_relation if n < len(rows)]
    return KnownFacts(turns[:most], asked)


def _asked(params: Params, relations: int) -> int:
    """Facts of each relation that are asked closed-book: twice as many as are needed."""
    return max(8, 2 * -(-(params.facts + params.others) // max(1, relations)))


def as_question(
    model: InstrumentedModel, relation: str, subject: str, prompt: str, answer: str
) -> MemoryQuestion:
    """A fact as the model reads it."""
    prompt = prompt.rstrip(" ")
    answers = model.continuation_tokens(joined(prompt, answer)[len(prompt) :])
    return MemoryQuestion(
        relation, subject, prompt, answer, tuple(model.tokens(prompt)), answers[0]
    )


def answered(
    model: InstrumentedModel, rows: Sequence[MemoryQuestion], progress: Progress
) -> list[MemoryQuestion]:
    """Those whose answer is the likeliest next token."""
    known = []
    for start in range(0, len(rows), _AT_ONCE):
        progress(start / len(rows), f"Asking for facts: {start} of {len(rows)}")
        some = rows[start : start + _AT_ONCE]
        said = says(model, some)
        known += [row for row, token in zip(some, said, strict=True) if token == row.target]
    return known


def says(model: InstrumentedModel, rows: Sequence[MemoryQuestion]) -> list[int]:
    """The likeliest next token of each; honours what is masked or swapped.

    They share one batch in this order, so that masks by row mean these rows.
    """
    logits = model.next_logits([list(row.ids) for row in rows], batch_size=len(rows))
    said: list[int] = logits.argmax(-1).tolist()
    return said
