"""What a model recalls of a context: how likely the answer is, where it stands among a closed set
of candidates, whether it would be said, and what is taken for it instead.

All questions of a context are asked behind one reading of it, and everything is teacher-forced: an
answer is exact where greedy decoding would say it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.recall_contexts import (
    CORRECT,
    INTRUSION,
    OTHER,
    PRIOR,
    Context,
    RecallQuestion,
)
from hooks.read_once import ReadContext, read_each, whole
from workbench.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


@dataclass(frozen=True)
class RecallScore:
    """What one question gives.

    Attributes:
        logprob: of the whole answer, nats.
        rank: how many other candidates are as likely or likelier, from 0.
        exact: whether greedy decoding says the whole answer.
        choice: the likeliest candidate.
        outcome: `correct`; `intrusion`, the answer of another item; `prior`, what the model says
            without the context; `other`, another candidate.
        intruder: number of the item whose answer was taken, -1 where none was.
        logprobs: of the candidates, nats, in their order.
    """

    logprob: float
    rank: int
    exact: bool
    choice: str
    outcome: str
    intruder: int
    logprobs: tuple[float, ...]

    @property
    def correct(self) -> bool:
        return self.outcome == CORRECT


def recall(
    model: InstrumentedModel,
    contexts: Sequence[Context],
    progress: Progress | None = None,
    *,
    priors: Sequence[Sequence[str]] | None = None,
    says: str = "Reading contexts",
) -> list[tuple[RecallScore, ...]]:
    """All questions of all contexts, each context read once; contexts that begin alike share that.

    Args:
        priors: the closed-book answer to each question (the choices of `recall_closed_book`); by
            default what the questions themselves call it.

    Raises:
        BadInput: a context that does not fit into the model's positions, an answer without tokens
            or one that is no candidate.
    """
    texts = [model.tokens(context.text) for context in contexts]
    asked = [[_Rows.behind(model, each) for each in context.questions] for context in contexts]
    most = max((rows.longest for each in asked for rows in each), default=0)
    found: list[tuple[RecallScore, ...]] = [()] * len(contexts)
    if not most:
        return found
    for done, (number, read) in enumerate(read_each(model, texts, most=most)):
        if progress is not None:
            progress(done / len(contexts), f"{says}, {done:,} of {len(contexts):,}")
        context = contexts[number]
        known = priors[number] if priors is not None else [q.prior for q in context.questions]
        found[number] = tuple(
            _score(question, rows.answer(logits), known[n], len(context.items))
            for n, (question, rows, logits) in enumerate(
                zip(context.questions, asked[number], _ask(read, asked[number]), strict=True)
            )
        )
    return found


def recall_by_whole_passes(
    model: InstrumentedModel, contexts: Sequence[Context]
) -> list[tuple[RecallScore, ...]]:
    """As `recall`, with a whole pass of context and question for each answer: for changes that hold
    only inside one pass.
    """
    found = []
    for context in contexts:
        ids = model.tokens(context.text)
        scores = []
        for question in context.questions:
            rows = _Rows.behind(model, question)
            logits = [whole(model, [*ids, *row])[len(ids) :] for row in rows.rows]
            scores.append(_score(question, rows.answer(logits), question.prior, len(context.items)))
        found.append(tuple(scores))
    return found


def recall_closed_book(
    model: InstrumentedModel, contexts: Sequence[Context]
) -> list[tuple[RecallScore, ...]]:
    """As `recall`, of the questions alone: what the model says without any context."""
    known: dict[tuple[str, str, tuple[str, ...]], RecallScore] = {}
    for question in (q for context in contexts for q in context.questions):
        if _key(question) not in known:
            # What parts a question from its context does not stand at the beginning of a text.
            rows = _Rows.at(model, model.tokens(question.ask.lstrip()), question)
            logits = [whole(model, row) for row in rows.rows]
            known[_key(question)] = _score(question, rows.answer(logits), "", 0)
    return [tuple(known[_key(q)] for q in context.questions) for context in contexts]


def _key(question: RecallQuestion) -> tuple[str, str, tuple[str, ...]]:
    return question.ask, question.answer, question.candidates


def tokens_of(model: InstrumentedModel, questions: Sequence[RecallQuestion]) -> int:
    """Tokens that are read to ask these of one context: rows of one batch, as wide as its
    longest.
    """
    rows = [row for q in questions for row in _Rows.behind(model, q).rows]
    return len(rows) * max(map(len, rows), default=0)


@dataclass(frozen=True)
class _Rows:
    """A question as tokens: what is read to score all its candidates.

    Attributes:
        ask: tokens of the question.
        candidates: tokens of each candidate.
        rows: the question with all but the last token of a candidate, each once.
        right: number of the answer among the candidates.
    """

    ask: tuple[int, ...]
    candidates: tuple[tuple[int, ...], ...]
    rows: tuple[tuple[int, ...], ...]
    right: int

    @classmethod
    def behind(cls, model: InstrumentedModel, question: RecallQuestion) -> _Rows:
        """Of a question that follows a context."""
        return cls.at(model, model.continuation_tokens(question.ask), question)

    @classmethod
    def at(cls, model: InstrumentedModel, ask: Sequence[int], question: RecallQuestion) -> _Rows:
        """Of a question in these tokens.

        Raises:
            BadInput: an answer without tokens, or that is no candidate.
        """
        if not ask:
            raise BadInput("A question has no token.", "some text", "Ask something.")
        if question.answer not in question.candidates:
            raise BadInput(
                f"The answer {question.answer!r} is not among its candidates.",
                "a closed set of answers with the right one in it",
                "Add it.",
            )
        ids = [tuple(model.continuation_tokens(each)) for each in question.candidates]
        for text, each in zip(question.candidates, ids, strict=True):
            if not each:
                raise BadInput(
                    f"The answer {text!r} to {question.ask.strip()!r} has no token.",
                    "an answer of one token or more",
                    "Write it out, with a space before it.",
                )
        rows = tuple(dict.fromkeys((*ask, *each[:-1]) for each in ids))
        return cls(tuple(ask), tuple(ids), rows, question.candidates.index(question.answer))

    @property
    def longest(self) -> int:
        return max(map(len, self.rows))

    def answer(self, logits: Sequence[Tensor]) -> tuple[np.ndarray, bool]:
        """(log-probability of each candidate, whether greedy decoding says the answer), from the
        logits after each token of each row.
        """
        first, where = len(self.ask) - 1, {row: n for n, row in enumerate(self.rows)}
        each = [part[first:] for part in logits]
        normed = [part.log_softmax(-1) for part in each]
        likely, exact = [], False
        for n, ids in enumerate(self.candidates):
            row = where[(*self.ask, *ids[:-1])]
            likely.append(float(sum(normed[row][at, token] for at, token in enumerate(ids))))
            if n == self.right:
                exact = each[row][: len(ids)].argmax(-1).tolist() == list(ids)
        return np.array(likely), exact


def _ask(read: ReadContext, asked: Sequence[_Rows]) -> Iterator[list[Tensor]]:
    """The logits of each question's rows, all read together."""
    logits = iter(read.logits([row for rows in asked for row in rows.rows]))
    for rows in asked:
        yield [next(logits) for _ in rows.rows]


def _score(
    question: RecallQuestion, found: tuple[np.ndarray, bool], prior: str, items: int
) -> RecallScore:
    likely, exact = found
    right, best = question.candidates.index(question.answer), int(likely.argmax())
    choice = question.candidates[best]
    # Ties take the worst rank: what cannot be told apart is not recalled.
    rank = int((np.delete(likely, right) >= likely[right]).sum())
    intruder = best if best < items and items > 1 and best != right else -1
    if rank == 0:
        outcome = CORRECT
    elif intruder >= 0:
        outcome = INTRUSION
    else:
        outcome = PRIOR if choice == prior and choice != question.answer else OTHER
    logprob = float(likely[right])
    return RecallScore(logprob, rank, exact, choice, outcome, intruder, tuple(likely.tolist()))
