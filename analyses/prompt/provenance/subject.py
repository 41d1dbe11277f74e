"""Whom the question is about, and what happens when later tokens do not see it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.prompt.provenance.constants import PARTS_AT_RANDOM, SUBJECT_TOKENS
from analyses.prompt.provenance.prompt_parts import PromptParts, Range
from hooks.hidden_keys import unavailable_reason
from hooks.prompt_changes import Hidden, PromptChange, read_answer
from workbench.errors import BadInput

if TYPE_CHECKING:
    import random

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_WORDS = (
    "a an and answer are as at be by did do does for from had has have he her his how i in "
    "into is it its me my name of on or our q question s she so that the their them there "
    "they this to us was we were what when where which who whom whose why will with would you "
    "your "
)  # that no question is about
_EMPTY = frozenset(_WORDS.split())
_NEAR = 0.75  # of the largest cost: the shortest span that reaches it is the subject
_WORD = re.compile(r"\w+(?:[-'’]\w+)*")


@dataclass(frozen=True)
class QuestionSubject:
    """A name in the question.

    Attributes:
        text: as it is written.
        mentions: every place where it stands, as tokens; those in the question come last.
        marked: somebody named it; otherwise it was found.
        cost: nats that the answer loses when it is blocked.
    """

    text: str
    mentions: tuple[Range, ...]
    marked: bool
    cost: float = float("nan")


@dataclass(frozen=True)
class Blocking:
    """How a span of the question is kept from the answer: hidden from later tokens, or, where a
    model's layers have no keys, replaced by neutral text.
    """

    asked: PromptParts
    hides: bool
    neutral: tuple[int, ...]

    @classmethod
    def of(cls, model: InstrumentedModel, asked: PromptParts, neutral: tuple[int, ...]) -> Blocking:
        """The way that this model allows.

        Args:
            neutral: tokens that may take a span's place; as many as the longest has.
        """
        return cls(asked, unavailable_reason(model) is None, neutral)

    def change(self, spans: Sequence[Range]) -> PromptChange:
        """The prompt with these spans blocked: hidden, or where nothing can be hidden replaced.

        One in the question is hidden from all that follows it; one in the context from the
        question on, so that the context is read as it is.
        """
        asked = self.asked
        if self.hides:
            hidden = tuple(
                Hidden(start, stop, max(stop, asked.question[0])) for start, stop in spans
            )
            return PromptChange(hidden=hidden)
        new = tuple((start, self.neutral[: stop - start]) for start, stop in spans)
        return PromptChange(new)


def marked(asked: PromptParts, words: str) -> QuestionSubject:
    """The subject that somebody names.

    Raises:
        BadInput: it does not stand in the question.
    """
    mentions = asked.mentions(words)
    if not asked.in_question(mentions):
        asks = asked.text[asked.spans[asked.question[0]][0] :].strip()
        raise BadInput(
            f"The subject {words.strip()!r} does not stand in the question.",
            f"whole words of {asks[:120]!r}",
            "Copy it from there, or leave it empty: then it is looked for.",
        )
    return QuestionSubject(words.strip(), tuple(mentions), True)


def candidates(asked: PromptParts) -> list[Range]:
    """Spans of whole words in the question, of at most five tokens, that begin and end with a word
    of content; never the prompt's last token, nor its first.
    """
    begin = asked.spans[asked.question[0]][0]
    words = [
        (m.group(), asked.tokens_of(begin + m.start(), begin + m.end()))
        for m in _WORD.finditer(asked.text[begin:])
    ]
    found = []
    for n, (first, (start, _)) in enumerate(words):
        for last, (_, stop) in words[n:]:
            if stop - start > SUBJECT_TOKENS:
                break
            content = {first.casefold(), last.casefold()}.isdisjoint(_EMPTY)
            if content and start > 0 and stop < len(asked.ids):
                found.append((start, stop))
    return list(dict.fromkeys(found))


def find(
    model: InstrumentedModel,
    asked: PromptParts,
    answer: Sequence[int],
    contexts: Sequence[tuple[tuple[int, tuple[int, ...]], ...]],
    blocking: Blocking,
    progress: Progress,
) -> QuestionSubject | None:
    """The span of the question whose blocking costs the answer most; of several that cost almost
    as much, the shortest. Names (capitals, numbers) go before other words: what a question asks of
    its subject ("the capital of") makes a kind of answer likelier, whoever it is about.

    Args:
        contexts: replacements of the context under which it is tried; () is as given.

    Returns:
        None where the question has no word that could be one.
    """
    spans = candidates(asked)
    if not spans:
        return None
    every = {span: asked.mentions(_text(asked, span)) or [span] for span in spans}
    costs = []
    for n, context in enumerate(contexts):
        changes = [PromptChange()]
        changes += [blocking.change(_mentioned(asked, every[span], context)) for span in spans]
        ids = PromptChange(context).ids(asked.ids)
        part = progress.subprogress(n / len(contexts), (n + 1) / len(contexts))
        total = read_answer(model, ids, answer, changes, part).total.numpy()
        costs.append(total[0] - total[1:])
    cost = np.mean(costs, axis=0)
    best = _best(cost, spans, [_is_name(_text(asked, span)) for span in spans])
    words = _text(asked, spans[best])
    return QuestionSubject(words, tuple(every[spans[best]]), False, float(cost[best]))


def _best(cost: np.ndarray, spans: Sequence[Range], names: Sequence[bool]) -> int:
    able = [n for n, name in enumerate(names) if name] or list(range(len(spans)))
    near = [n for n in able if cost[n] >= _NEAR * cost[able].max()] or able
    return min(near, key=lambda n: (spans[n][1] - spans[n][0], -cost[n]))


def _is_name(words: str) -> bool:
    """Whether every word begins with a capital or a digit, or is a small word between such."""
    each = _WORD.findall(words)
    return all(not word[0].islower() or word.casefold() in _EMPTY for word in each)


def _mentioned(
    asked: PromptParts, mentions: Sequence[Range], context: tuple[tuple[int, tuple[int, ...]], ...]
) -> Sequence[Range]:
    """Those that are there: a context that is replaced mentions nobody."""
    return asked.in_question(mentions) if context else mentions


def present(
    asked: PromptParts, subject: QuestionSubject, context: tuple[tuple[int, tuple[int, ...]], ...]
) -> Sequence[Range]:
    """The subject's mentions in the prompt with this context."""
    return _mentioned(asked, subject.mentions, context)


def random_parts(asked: PromptParts, subject: QuestionSubject, rng: random.Random) -> list[Range]:
    """Spans of the context that are as long as the subject (or as the context, where that is
    shorter).
    """
    longest = max(stop - start for start, stop in asked.in_question(subject.mentions))
    for size in range(longest, 0, -1):
        spans = [
            (start, start + size)
            for low, high in asked.context
            for start in range(max(1, low), high - size + 1)
        ]
        if spans:
            return sorted(rng.sample(spans, min(PARTS_AT_RANDOM, len(spans))))
    return []


def _text(asked: PromptParts, span: Range) -> str:
    return asked.text[asked.spans[span[0]][0] : asked.spans[span[1] - 1][1]].strip()
