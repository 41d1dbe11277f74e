"""A prompt taken apart: what is asked, what stands before it, and the sentences of that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from analyses.prompt.provenance.constants import MOST_SENTENCES
from workbench.errors import BadInput
from workbench.models.conversation import message_places, render, typed

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

Range = tuple[int, int]
"""First position, and the one behind the last."""

_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+|\n+")
_SHORT = re.compile(r"\b(?:[A-Z]|Mr|Mrs|Ms|Dr|St|Prof|vs|e\.g|i\.e|cf|No)\.\s*$")
_WORD = re.compile(r"[^\W\d_]{2,}|\d+")
_LABEL = re.compile(r"^\W*\w+\s*:\s*$")


@dataclass(frozen=True)
class Sentence:
    """A piece of the context.

    Attributes:
        text: as it is written.
        start, stop: its tokens.
    """

    text: str
    start: int
    stop: int


@dataclass(frozen=True)
class PromptParts:
    """A prompt in its parts; all places are token positions.

    Attributes:
        text: as the model reads it.
        ids: its tokens.
        spans: per token, the characters it covers.
        context: what stands before the question and may be replaced; a range for each message.
        sentences: the context in pieces.
        question: from the question's first token to the prompt's end.
    """

    text: str
    ids: list[int]
    spans: list[Range]
    context: tuple[Range, ...]
    sentences: tuple[Sentence, ...]
    question: Range

    def tokens_of(self, start: int, stop: int) -> Range:
        """The tokens that touch these characters."""
        return touched(self.spans, start, stop)

    def mentions(self, words: str) -> list[Range]:
        """The tokens of every place where these words stand."""
        pattern = rf"(?<!\w){re.escape(words.strip())}(?!\w)"
        return [self.tokens_of(*m.span()) for m in re.finditer(pattern, self.text)]

    def in_question(self, ranges: Sequence[Range]) -> list[Range]:
        return [each for each in ranges if each[0] >= self.question[0]]


def take_apart(
    model: InstrumentedModel, prompt: str, question: str = "", *, chat: bool = False
) -> PromptParts:
    """The parts of a prompt. The question is its last sentence (of the user's last message, in a
    conversation), and what follows it; a label alone (“Answer:”) is no sentence, and an answer
    that is begun goes with its question.

    Args:
        prompt: a text, or a conversation as JSON.
        question: how the question begins, as it stands in the prompt; "" finds it.

    Raises:
        BadInput: no words; a question that does not stand in the prompt; or a conversation that
            the model has no format for.
    """
    messages = typed(prompt, chat)
    if not isinstance(messages, str):
        rendered = render(model.text, messages)
        text, ids = rendered.text, rendered.ids
        spans = model.text.spans_of(text, ids)
        places = message_places(text, [message["content"] for message in messages])
        users = [n for n, message in enumerate(messages) if message["role"] == "user"]
        last = users[-1] if users else len(places) - 1
    else:
        text, ids = prompt, model.tokens(prompt)
        spans = model.text.spans(prompt)
        places, last = [(0, len(text))], 0
    if not _WORD.search(prompt):
        raise BadInput("The prompt has no words.", "a text that asks something", "Type a question.")
    begins = _question_at(text, places[last], question)
    before = [*places[:last], (places[last][0], begins)]
    context = [touched(spans, *_words_in(text, *place)) for place in before]
    pieces = [piece for place in before for piece in _sentences(text, *place)]
    sentences = [Sentence(text[start:stop], *touched(spans, start, stop)) for start, stop in pieces]
    return PromptParts(
        text,
        list(ids),
        list(spans),
        tuple(each for each in context if each[1] > each[0]),
        tuple(_merged([each for each in sentences if each.stop > each.start], text, spans)),
        (touched(spans, begins, len(text))[0], len(ids)),
    )


def touched(spans: Sequence[Range], start: int, stop: int) -> Range:
    """The tokens that have characters of a stretch; those of no characters belong to none."""
    inside = [
        n for n, (low, high) in enumerate(spans) if low < stop and high > start and high > low
    ]
    return (inside[0], inside[-1] + 1) if inside else (len(spans), len(spans))


def _question_at(text: str, place: Range, question: str) -> int:
    """The character at which the question begins."""
    if question.strip():
        at = text.rfind(question.strip())
        if at < 0:
            raise BadInput(
                f"The question {question.strip()[:80]!r} does not stand in the prompt.",
                "words of the prompt",
                "Copy it as it stands there, or leave it empty: then it is the last sentence.",
            )
        return at
    pieces = _sentences(text, *place)
    if not pieces:
        return place[0]
    begin = len(pieces) - 1
    while begin and not _asks(text[pieces[begin][0] : place[1]]):
        begin -= 1
    # An answer that is begun for the model belongs to the question before it.
    begun = "?" not in text[pieces[begin][0] : place[1]]
    if begin and begun and text[pieces[begin - 1][0] : pieces[begin - 1][1]].endswith("?"):
        begin -= 1
    return pieces[begin][0]


def _asks(text: str) -> bool:
    """Whether this may be a question: it has words, and not those of a label alone."""
    lines = [line for line in text.splitlines() if not _LABEL.match(line)]
    return len(_WORD.findall(" ".join(lines))) >= 2


def _words_in(text: str, start: int, stop: int) -> Range:
    """A stretch without the space and the sign at its end: those stay when it is replaced."""
    piece = text[start:stop]
    return start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip().rstrip(".:!?\"'"))


def _sentences(text: str, start: int, stop: int) -> list[Range]:
    """Where sentences and lines begin and end, in characters, without the space around them."""
    piece, found, begin = text[start:stop], [], 0
    ends = [m for m in _END.finditer(piece) if not _SHORT.search(piece[: m.end()])]
    for end in [*(m.end() for m in ends), len(piece)]:
        words = piece[begin:end]
        if words.strip():
            first = begin + len(words) - len(words.lstrip())
            found.append((start + first, start + begin + len(words.rstrip())))
        begin = end
    return found


def _merged(sentences: list[Sentence], text: str, spans: Sequence[Range]) -> list[Sentence]:
    """Neighbours together, so that there are no more than can be hidden one by one; a token that
    two sentences share belongs to the first.
    """
    size = -(-len(sentences) // MOST_SENTENCES)
    together = []
    for n in range(0, len(sentences), max(1, size)):
        group = sentences[n : n + size]
        first, last = group[0], group[-1]
        low, high = spans[first.start][0], spans[last.stop - 1][1]
        words = first.text if len(group) == 1 else text[low:high].strip()
        together.append(Sentence(words, first.start, last.stop))
    for n in range(1, len(together)):
        here = together[n]
        together[n] = replace(here, start=max(here.start, together[n - 1].stop))
    return [each for each in together if each.stop > each.start]
