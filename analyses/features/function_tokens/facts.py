"""Facts the model knows, asked in ways that end in a function token and in one that ends in the
subject itself.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyses.features.function_tokens.constants import LIST, QUESTION, SENTENCE, WORDINGS
from analyses.measures.closed_book import closed_book
from workbench import facts
from workbench.errors import BadInput

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_SHOWN = 3  # facts that stand before the subject in a list


@dataclass(frozen=True)
class FactPrompt:
    """One fact in one wording.

    Attributes:
        ids: the prompt; subject: places of the subject's tokens, from the prompt's end (-1 is the
            last token).
        answer: first token of the answer, as it follows this prompt.
    """

    subject_name: str
    answer_name: str
    ids: tuple[int, ...]
    subject: tuple[int, ...]
    answer: int


def known(
    model: InstrumentedModel, name: str, most: int, seed: int, progress: Progress
) -> dict[str, list[FactPrompt]]:
    """The same known facts in every wording, in the same order.

    Raises:
        NotFound: no such relation.
        BadInput: too few are known.
    """
    relation = facts.relation(name)
    found = list(closed_book(model, relation, progress).facts)
    random.Random(seed).shuffle(found)
    shown, rest = found[:_SHOWN], found[_SHOWN:]
    if len(rest) < 6:
        raise BadInput(
            f"{model.card.name} knows {len(found)} of the {len(relation.facts)} facts of {name!r}.",
            f"at least {6 + _SHOWN} known facts",
            "Choose another relation, or leave out the part retrieval.",
        )
    before = "".join(f"{fact.subject} {fact.answer}\n" for fact in shown)
    made: dict[str, list[FactPrompt]] = {wording: [] for wording in WORDINGS}
    for fact in rest[:most]:
        prompts = {
            SENTENCE: relation.closed_book.format(subject=fact.subject),
            QUESTION: f"Question: {relation.question.format(subject=fact.subject)}\nAnswer:",
            LIST: before + fact.subject,
        }
        for wording, text in prompts.items():
            made[wording].append(_fact_prompt(model, text, fact.subject, fact.answer))
    return made


def _fact_prompt(model: InstrumentedModel, text: str, subject: str, answer: str) -> FactPrompt:
    ids, spans = model.tokens(text), model.text.spans(text)
    start = text.rindex(subject)
    places = tuple(
        n - len(ids)
        for n, (low, high) in enumerate(spans)
        if high > start and low < start + len(subject) and high > low
    )
    return FactPrompt(
        subject, answer, tuple(ids), places, model.continuation_tokens(f" {answer}")[0]
    )


def pairs(prompts: Sequence[FactPrompt]) -> list[int]:
    """For each fact another one with another answer: the next in the list that has one."""
    n = len(prompts)
    return [
        next((i + k) % n for k in range(1, n) if prompts[(i + k) % n].answer != prompts[i].answer)
        for i in range(n)
    ]
