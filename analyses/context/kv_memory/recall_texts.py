"""The texts that are read: facts hidden in prose, things of equal form, and pass keys; or a text of
the user's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.recall_contexts import Context, RecallQuestion, needles, passkey
from analyses.measures.recall_words import NAMES, WORDS, sentences
from hooks.kv_cache.reading import read_context
from workbench.errors import BadInput

if TYPE_CHECKING:
    from analyses.context.kv_memory.params import Params
    from hooks.kv_cache.context_memory import ContextMemory
    from hooks.model import InstrumentedModel

TASKS = ("hidden facts", "equal sentences", "pass key")
_EQUAL = "The secret word of {} is {}."
_EQUAL_ASK = "\n\nThe secret word of {} is"
_MOST = 6
"""Sentences of equal form in a text, of which some are asked for."""


@dataclass(frozen=True)
class AskedQuestion:
    """A question as tokens.

    Attributes:
        ask, answer: tokens.
        evidence: positions of the context that say it, (first, behind the last).
        answer_at: positions of the answer within them.
        text: the question in words, with its answer.
    """

    ask: list[int]
    answer: list[int]
    evidence: tuple[int, int]
    answer_at: tuple[int, int]
    text: str

    @property
    def row(self) -> list[int]:
        """What is read to score the answer: all but its last token."""
        return [*self.ask, *self.answer[:-1]]


@dataclass(frozen=True)
class RecallText:
    """A context that was read, with what is asked of it."""

    number: int
    task: str
    memory: ContextMemory
    questions: list[AskedQuestion]


def contexts_of(model: InstrumentedModel, params: Params) -> list[Context]:
    """The texts of a run.

    Raises:
        BadInput: texts too short for what has to stand in them.
    """
    if params.is_own():
        return [_own(params)]
    made = []
    for number in range(params.contexts):
        task, seed = TASKS[number % len(TASKS)], 1000 * params.seed + number
        rng = np.random.default_rng([seed, 7])
        if task == "pass key":
            whole = passkey(model, params.length, float(rng.uniform(0.1, 0.9)), seed)
            made.append(replace(whole, questions=whole.questions[:1], facts={"task": task}))
        else:
            made.append(_hidden(model, task, params, rng, seed))
    return made


def read_text(model: InstrumentedModel, context: Context, number: int) -> RecallText:
    """Read a context, and find what is asked of it among its tokens.

    Raises:
        BadInput, Unfit: it cannot be read, or its cache cannot be masked.
    """
    ids = model.tokens(context.text)
    spans = model.text.spans(context.text)
    questions = []
    for question in context.questions:
        first, behind = question.evidence
        start = context.text.index(question.answer.strip(), first)
        words = (start, start + len(question.answer.strip()))
        questions.append(
            AskedQuestion(
                model.continuation_tokens(question.ask),
                model.continuation_tokens(question.answer),
                _tokens_of(spans, (first, behind)),
                _tokens_of(spans, words),
                f"{question.ask.strip()}{question.answer}",
            )
        )
    task = str(context.facts["task"])
    return RecallText(number, task, read_context(model, ids), questions)


def _own(params: Params) -> Context:
    answer = params.answer.strip()
    start = params.text.index(answer)
    place = start, start + len(answer)
    question = RecallQuestion(params.ask.rstrip(), f" {answer}", (f" {answer}",), place, "own")
    return Context(params.text, (question,), (place,), {"task": "own text"})


def _hidden(
    model: InstrumentedModel, task: str, params: Params, rng: np.random.Generator, seed: int
) -> Context:
    """Sentences of prose, and among them those that are asked for, evenly spread."""
    if task == TASKS[0]:
        facts = [n for n in needles(9, seed) if n.kind != "agrees"]
        chosen = [facts[i] for i in rng.permutation(len(facts))]
        said = [n.sentence() for n in chosen]
        asks = [(n.fact.asks[0], f" {n.answer}") for n in chosen]
    else:
        names = [str(n) for n in rng.permutation(NAMES)[:_MOST]]
        things = [str(n) for n in rng.permutation(WORDS)[:_MOST]]
        pairs = list(zip(names, things, strict=True))
        said = [_EQUAL.format(*pair) for pair in pairs]
        asks = [(_EQUAL_ASK.format(name), f" {thing}") for name, thing in pairs]
    text, places = _among(model, said, params.length, rng)
    wanted = sorted(rng.permutation(len(said))[: params.questions].tolist())
    questions = tuple(
        RecallQuestion(asks[i][0], asks[i][1], (asks[i][1],), places[i], task) for i in wanted
    )
    return Context(text, questions, tuple(places), {"task": task})


def _among(
    model: InstrumentedModel, said: list[str], length: int, rng: np.random.Generator
) -> tuple[str, list[tuple[int, int]]]:
    """A text of at most so many tokens, and the characters of each sentence in it."""
    prose = sentences("prose")
    sizes = [len(model.continuation_tokens(f" {each}")) for each in prose]
    room = length - len(model.tokens(" ".join(said)))
    if room < len(said):
        raise BadInput(
            f"The facts alone have more than {length:,} tokens.",
            "room for some text between them",
            "Ask for longer texts.",
        )
    first, body = int(rng.integers(len(prose))), list[str]()
    while room > 0:
        n = (first + len(body)) % len(prose)
        room -= sizes[n]
        if room > 0:
            body.append(prose[n])
    at = np.linspace(0, len(body), len(said) + 2)[1:-1].round().astype(int).tolist()
    pieces, places = list[str](), list[tuple[int, int]]()
    for n in range(len(body) + 1):
        for i in (i for i, where in enumerate(at) if where == n):
            start = len(" ".join(pieces)) + bool(pieces)
            pieces.append(said[i])
            places.append((start, start + len(said[i])))
        pieces += body[n : n + 1]
    return " ".join(pieces), places


def _tokens_of(spans: list[tuple[int, int]], place: tuple[int, int]) -> tuple[int, int]:
    """The tokens that overlap some characters."""
    inside = [n for n, (a, b) in enumerate(spans) if a < place[1] and b > place[0] and b > a]
    return inside[0], inside[-1] + 1
