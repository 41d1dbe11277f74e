"""Facts and test items: rows of JSON lines or of a table, read one by one."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from workbench.errors import BadInput
from workbench.unicode import check_unicode

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PROMPTS, _OPTIONS = ("prompt", "question"), ("options", "choices")
_LONGEST = 4000  # characters of a field
_TABLES = (".csv", ".tsv")
EXPECTED = (
    'documents as {"text": "…"}, facts as {"prompt": "…", "answer": "…"}, test items as'
    ' {"question": "…", "options": ["…", "…"]}'
)


@dataclass(frozen=True)
class FactQuestion:
    """A prompt, and the answer that goes on from it."""

    name: str
    prompt: str
    answer: str


@dataclass(frozen=True)
class BenchmarkItem:
    """A question with options; which of them is right is not asked for."""

    name: str
    question: str
    options: tuple[str, ...]

    def text(self, options: Sequence[str]) -> tuple[str, str]:
        """(the question, its options in this order) as a test prints them."""
        listed = (f"{letter}. {text}" for letter, text in zip(LETTERS, options, strict=False))
        return f"Question: {self.question}\n", "\n".join(listed)


class UnusableRow(ValueError):
    """Why a row is left out."""


def kind_of(first: Mapping[str, Any]) -> str:
    """Which kind of material a row is: "items", "facts", "documents", or "" for none.

    Args:
        first: a row, by the names of its fields in lower case.
    """
    asks = any(name in first for name in _PROMPTS)
    if asks and any(name in first for name in _OPTIONS):
        return "items"
    if asks and "answer" in first:
        return "facts"
    return "documents" if "text" in first else ""


def rows_of(stream: BinaryIO, suffix: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number of the line, fields by their names in lower case) of each row.

    Raises:
        UnicodeDecodeError: not UTF-8.
        UnusableRow: a line that is no row.
    """
    lines = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    if suffix in _TABLES:
        table = csv.DictReader(lines, delimiter="\t" if suffix == ".tsv" else ",")
        try:
            for row in table:
                yield table.line_num, {str(k or "").strip().lower(): v for k, v in row.items()}
        except csv.Error as error:
            raise UnusableRow(f"line {table.line_num} is no row of a table: {error}") from error
        return
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise UnusableRow(f"line {number} is no JSON") from error
        if not isinstance(fields, dict):
            raise UnusableRow(f"line {number} is no row with names")
        yield number, {str(name).strip().lower(): value for name, value in fields.items()}


def fact_of(name: str, row: Mapping[str, Any]) -> FactQuestion:
    """A row as a fact.

    Raises:
        UnusableRow: no prompt or answer, or a prompt that already holds the answer.
    """
    asked = next((key for key in _PROMPTS if row.get(key)), _PROMPTS[0])
    prompt, answer = _text(row, asked), _text(row, "answer")
    words = _words(answer)
    if words and f" {words} " in f" {_words(prompt)} ":
        raise UnusableRow("the prompt holds the answer")
    if asked == "question":
        prompt = f"Question: {prompt}\nAnswer:"
    return FactQuestion(name, prompt, answer)


def item_of(name: str, row: Mapping[str, Any]) -> BenchmarkItem:
    """A row as a test item.

    Raises:
        UnusableRow: no question, fewer than two options, or two that are the same.
    """
    question = _text(row, next((key for key in _PROMPTS[::-1] if row.get(key)), "question"))
    given = next((row[key] for key in _OPTIONS if row.get(key)), None)
    options = given.split("|") if isinstance(given, str) else given
    if not isinstance(options, list) or not all(isinstance(o, str) and o.strip() for o in options):
        raise UnusableRow("the options are no list of texts")
    options = [option.strip() for option in options]
    if not 2 <= len(options) <= len(LETTERS):
        raise UnusableRow(f"it has {len(options)} options; 2 to {len(LETTERS)} can be asked")
    if len({option.casefold() for option in options}) < len(options):
        raise UnusableRow("two options are the same")
    for option in options:
        _check(option, "an option")
    return BenchmarkItem(name, question, tuple(options))


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise UnusableRow(f"it has no {name}")
    return _check(value.strip(), name)


def _check(value: str, name: str) -> str:
    if len(value) > _LONGEST:
        raise UnusableRow(f"{name} has more than {_LONGEST:,} characters")
    try:
        check_unicode(value, name)
    except BadInput as problem:
        raise UnusableRow(problem.what) from problem
    return value


def _words(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())
