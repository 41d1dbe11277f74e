"""Which facts a model knows: asked closed-book, without any context.

Known is a greedy continuation that gives the whole answer, as a word of its own.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from analyses.measures.fact_prompts import ids_of, rendered
from hooks.decode import Completion, InterventionDecoder
from workbench.facts import Fact, Format, Prompt, Relation
from workbench.facts import closed_book as closed_book_of

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

EXTRA_TOKENS = 2  # past the longest answer: enough to see that the word has ended


@dataclass
class ClosedBook:
    """What the model generated closed-book for every candidate of a relation."""

    relation: Relation
    generated: list[str]
    known: list[bool]  # the whole answer
    first_token: list[bool]  # only its first token, as much of the literature scores
    facts: list[Fact] = field(init=False)

    def __post_init__(self) -> None:
        self.facts = [
            fact for fact, yes in zip(self.relation.facts, self.known, strict=True) if yes
        ]


def plain(text: str) -> str:
    """For comparing answers: no accents, no case, no space in front."""
    bare = unicodedata.normalize("NFKD", text)
    return "".join(c for c in bare if not unicodedata.combining(c)).casefold().lstrip()


def matches_answer(text: str, answer: str, *, ended: bool) -> bool | None:
    """Does a continuation give this answer, whole and as a word?

    None: it may still, with more text.
    """
    generated, wanted = plain(text), plain(answer)
    if generated.startswith(wanted):
        if len(generated) > len(wanted):
            return not generated[len(wanted)].isalnum()
        return True if ended else None
    return None if wanted.startswith(generated) and not ended else False


def closed_book(
    model: InstrumentedModel, relation: Relation, progress: Progress, format: Format | None = None
) -> ClosedBook:
    """Every candidate asked without context; known is a greedy continuation that gives the whole
    answer.

    Args:
        format: a conversation asks in the model's chat format; any other, or None, by the
            relation's closed-book wording.
    """
    prompts = closed_prompts(model, relation, [fact.subject for fact in relation.facts], format)
    answers = [
        model.continuation_tokens(p.continuation(f.answer))
        for p, f in zip(prompts, relation.facts, strict=True)
    ]
    longest = max(map(len, answers)) + EXTRA_TOKENS
    generated: list[str] = []
    first: list[bool] = []
    size = 48
    for start in range(0, len(prompts), size):
        progress(
            start / len(prompts),
            f"Closed-book answers: {start} of {len(prompts)} {relation.kind}",
        )
        facts = relation.facts[start : start + size]
        ids = [ids_of(model, p) for p in prompts[start : start + size]]

        def is_decided(row: int, text: str, facts: Sequence[Fact] = facts) -> bool:
            return matches_answer(text, facts[row].answer, ended=False) is not None

        completions = _completed(model, ids, is_decided, longest)
        generated += [c.text for c in completions]
        first += [
            c.first == answer[0]
            for c, answer in zip(completions, answers[start : start + size], strict=True)
        ]
    known = [
        bool(matches_answer(text, fact.answer, ended=True))
        for text, fact in zip(generated, relation.facts, strict=True)
    ]
    return ClosedBook(relation, generated, known, first)


def _completed(
    model: InstrumentedModel,
    ids: list[list[int]],
    is_decided: Callable[[int, str], bool],
    longest: int,
) -> list[Completion]:
    """Greedy continuations, side by side; one by one where all that is remembered is states, which
    no key-value cache holds.
    """
    if "attn_out" in model.sites:
        with InterventionDecoder(model, ids).with_head_scales() as reading:
            return reading.complete(is_decided, max_new_tokens=longest)
    first = [int(each.argmax()) for row in ids for each in model.next_logits([row])]
    return [
        Completion(model.generate(row, max_new_tokens=longest), token)
        for row, token in zip(ids, first, strict=True)
    ]


def closed_prompts(
    model: InstrumentedModel, relation: Relation, subjects: Sequence[str], format: Format | None
) -> list[Prompt]:
    """The prompts without context, as the model reads them."""
    if format is None:
        return [relation.closed_book_prompt(subject) for subject in subjects]
    return [rendered(model, closed_book_of(format, relation, subject)) for subject in subjects]
