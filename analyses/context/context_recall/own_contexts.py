"""Contexts and questions of a user's file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyses.measures.recall_contexts import Context, RecallQuestion
from workbench.errors import BadInput
from workbench.text_files import one_file

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

_MOST = 10_000  # lines
_BYTES = 64 << 20
_SPARE = 8  # tokens between what is kept of a context and the end of the window
_EXAMPLE = '{"context": "…", "question": "Who has the key? The key is with", "answer": "Anna"}'


@dataclass(frozen=True)
class OwnQuestion:
    """A line of the file."""

    line: int
    context: str
    question: str
    answer: str
    candidates: tuple[str, ...]


def read_file(file: Path) -> list[OwnQuestion]:
    """The questions of a file.

    Raises:
        BadInput: no JSON, a key or an answer that is missing, candidates without the answer, or
            nothing at all.
    """
    found = list(_lines(file))
    if not found:
        raise BadInput(f"{file.name} holds no question.", f"one a line: {_EXAMPLE}", "Add one.")
    return found


def _lines(file: Path) -> Iterator[OwnQuestion]:
    # Not splitlines(): a JSON string may hold U+2028 and its like unescaped.
    for number, line in enumerate(re.split(r"\r?\n", _text(file)), 1):
        if not line.strip():
            continue
        if number > _MOST:
            raise BadInput(
                f"{file.name} has more than {_MOST:,} lines.", "fewer", "Ask in several runs."
            )
        yield _question(file.name, number, line)


def _text(file: Path) -> str:
    with one_file(file, "file", f"JSON lines: {_EXAMPLE}").open() as opened:
        raw = opened.read(_BYTES + 1)
    if len(raw) > _BYTES:
        raise BadInput(
            f"{file.name} is larger than {_BYTES >> 20} MB.", "a smaller file", "Ask in several."
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{file.name} is not UTF-8: byte {error.start:,} is 0x{raw[error.start]:02x}.",
            "JSON lines in UTF-8",
            "Save it again with the encoding UTF-8.",
        ) from error


def _question(name: str, number: int, line: str) -> OwnQuestion:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"Line {number} of {name} is not JSON: {error}.", _EXAMPLE, "Correct the line."
        ) from error
    fields = ("context", "question", "answer")
    missing = [f for f in fields if not isinstance(row, dict) or not _is_text(row.get(f))]
    if missing:
        raise BadInput(
            f"Line {number} of {name} has no {missing[0]!r}.", _EXAMPLE, "Add it, as text."
        )
    given = row.get("candidates", [])
    if not isinstance(given, list) or not all(map(_is_text, given)):
        raise BadInput(
            f"The candidates in line {number} of {name} are no list of texts.",
            '"candidates": ["Anna", "Ben"]',
            "Correct the line.",
        )
    answer = row["answer"].strip()
    candidates = tuple(dict.fromkeys(each.strip() for each in given))
    if candidates and answer not in candidates:
        raise BadInput(
            f"Line {number} of {name}: the answer {answer[:40]!r} is not among its candidates.",
            "a closed set of answers with the right one in it",
            "Add it.",
        )
    return OwnQuestion(number, row["context"], row["question"], answer, candidates)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


@dataclass(frozen=True)
class OwnContexts:
    """The file as a model reads it.

    Attributes:
        contexts: each distinct context with all its questions.
        lines: for each, the numbers of the lines.
        cut: tokens left out at the beginning of each, where it was longer than the window.
        stands: for each question, how often the answer stands in what is read.
    """

    contexts: list[Context]
    lines: list[tuple[int, ...]]
    cut: list[int]
    stands: list[tuple[int, ...]]


def prepared(model: InstrumentedModel, questions: Sequence[OwnQuestion]) -> OwnContexts:
    """Questions by their context. Where no candidates are given, they are the answers of all
    questions of the file.
    """
    everything = tuple(dict.fromkeys(each.answer for each in questions))
    by_context: dict[str, list[OwnQuestion]] = {}
    for each in questions:
        by_context.setdefault(each.context, []).append(each)
    made = OwnContexts([], [], [], [])
    for text, asked in by_context.items():
        ready = [_ready(each, everything) for each in asked]
        kept, left_out = _fitting(model, text, ready)
        made.contexts.append(Context(kept, tuple(_placed(q, kept) for q in ready), ()))
        made.lines.append(tuple(each.line for each in asked))
        made.cut.append(left_out)
        made.stands.append(tuple(_times(q.answer.strip(), kept) for q in ready))
    return made


def _ready(own: OwnQuestion, everything: tuple[str, ...]) -> RecallQuestion:
    candidates = tuple(f" {each}" for each in own.candidates or everything)
    # A question goes on as it ends: what ends in a space would give the answer two.
    ask = f"\n{own.question.strip()}"
    return RecallQuestion(ask, f" {own.answer}", candidates, (0, 0), "yours")


def _placed(question: RecallQuestion, text: str) -> RecallQuestion:
    """The question with the first place in the text where its answer stands."""
    found = re.search(rf"(?<!\w){re.escape(question.answer.strip())}(?!\w)", text)
    return replace(question, evidence=found.span()) if found else question


def _times(answer: str, text: str) -> int:
    return len(re.findall(rf"(?<!\w){re.escape(answer)}(?!\w)", text))


def _fitting(
    model: InstrumentedModel, text: str, questions: Sequence[RecallQuestion]
) -> tuple[str, int]:
    """(the end of a text that fits into the model's window with every question, tokens that were
    left out before it).
    """
    window = model.card.context_length
    longest = max(
        len(model.continuation_tokens(q.ask))
        + max(len(model.continuation_tokens(c)) for c in q.candidates)
        for q in questions
    )
    tokens = len(model.tokens(text))
    room = (window or tokens + longest + _SPARE) - longest - _SPARE
    if tokens <= room:
        return text, 0
    if room < 1:
        raise BadInput(
            f"A question of {longest:,} tokens does not fit into {window:,} tokens.",
            "a shorter question",
            "Shorten it.",
        )
    left_out = tokens - room
    while True:
        start = model.text.spans(text)[-room][0]
        kept = text[start:]
        if len(model.tokens(kept)) <= window - longest:
            return kept, left_out
        room -= 1
