"""Items of a test with versions of each: as it stands, in other words, changed so that another
answer is right, and fresh ones of the same kind. The user's own, from JSON lines:

    {"question": "What is the capital of France?", "answer": "Paris",
     "options": ["Paris", "Rome", "Oslo", "Bern"],
     "variants": [{"question": "Which city is the seat of France's government?"},
                  {"question": "What is the capital of Italy?", "answer": "Rome"}]}

A question with fields in braces and `rows` that fill them is a generator: its first row is the
item, the others are fresh items of the same kind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench import text_files
from workbench.errors import BadInput
from workbench.unicode import check_unicode

if TYPE_CHECKING:
    from workbench.text_files import TextFile

ORIGINAL, PARAPHRASE, CHANGED, FRESH, MADE_UP = VERSIONS = (
    "as it stands", "other words", "changed", "fresh", "made up",
)  # fmt: skip
"""Of an item. What is made up cannot have been read, and has no right answer but by lot."""
QUESTION, BOTH, OPTIONS, NOTHING, SAME = SHOWN = (
    "question only", "question and options", "options only", "neither", "one option everywhere",
)  # fmt: skip
"""What a model sees. Where one option stands at every letter, what is chosen is a letter alone."""
MOST_OPTIONS = 4
"""Of an item that names none, where there are so many answers."""
FEWEST = 4
_BYTES = 50 * 2**20
_FORM = '{"question": "…", "answer": "…", "options": ["…"], "variants": [{"question": "…"}]}'
_FIELD = re.compile(r"\{(\w+)\}")


Asked = tuple[str, str, str, tuple[str, ...]]
"""(kind, question, answer, options or none) of a version."""


@dataclass(frozen=True)
class ItemVersion:
    """A question and the options it is answered with.

    Attributes:
        kind: of `VERSIONS`.
        right: which option is right.
    """

    kind: str
    question: str
    options: tuple[str, ...]
    right: int

    @property
    def answer(self) -> str:
        return self.options[self.right]


@dataclass(frozen=True)
class VariedItem:
    """An item, the first of its versions as it stands."""

    name: str
    family: str
    versions: tuple[ItemVersion, ...]

    @property
    def original(self) -> ItemVersion:
        return self.versions[0]

    def of(self, kind: str) -> list[ItemVersion]:
        """Its versions of one kind."""
        return [each for each in self.versions if each.kind == kind]


@dataclass(frozen=True)
class _Line:
    """What a line of a file says, checked."""

    where: str
    name: str
    family: str
    versions: tuple[Asked, ...]


def from_file(path: Path, seed: int = 0, most: int | None = None) -> list[VariedItem]:
    """The items of a JSON Lines file.

    Where a line names no options, wrong ones are what its other versions ask for, and then answers
    of other items of its family by lot. The right option stands where the lot puts it.

    Args:
        most: items that are made, from the top; every line is checked all the same.

    Raises:
        BadInput: a line that is no item, without a question or answer, with options that repeat or
            lack the answer, with an answer that its question gives away, a variant that is the
            item again, or a generator that repeats itself; or too few items.
    """
    lines = _checked(path)
    if len(lines) < FEWEST:
        raise BadInput(
            f"{path.name} holds {len(lines)} item{'s' * (len(lines) != 1)}.",
            f"{FEWEST} or more, one JSON object a line: {_FORM}",
            "Add items.",
        )
    lot = np.random.default_rng([seed, 11])
    answers: dict[str, dict[str, None]] = {}
    for line in lines:
        answers.setdefault(line.family, {}).update((each[2], None) for each in line.versions)
    families = {family: tuple(own) for family, own in answers.items()}
    return [
        VariedItem(line.name, line.family, tuple(
            _version(line, each, families[line.family], lot) for each in line.versions
        ))
        for line in lines[:most]
    ]  # fmt: skip


def _version(
    line: _Line,
    given: Asked,
    answers: Sequence[str],
    lot: np.random.Generator,
) -> ItemVersion:
    kind, question, answer, options = given
    if not options:
        # What its other versions ask for stands among the options, so that the old answer can be
        # given to a changed question. Enough are drawn that some are left beside these.
        some = lot.choice(len(answers), min(len(answers), 4 * MOST_OPTIONS), replace=False)
        own = (each for _, _, each, _ in line.versions)
        apart = (each for each in chain(own, (answers[int(i)] for i in some)) if each != answer)
        wrong: dict[str, None] = {}
        while len(wrong) < MOST_OPTIONS - 1 and (one := next(apart, None)) is not None:
            wrong[one] = None
        if not wrong:
            raise BadInput(
                f"{line.where} has no options, and no other item of its family has another answer.",
                "options, or several answers to choose from",
                'Add "options" to it.',
            )
        options = (answer, *wrong)
    dealt = mixed(options, lot)
    return ItemVersion(kind, question, dealt, dealt.index(answer))


def mixed(options: Sequence[str], lot: np.random.Generator) -> tuple[str, ...]:
    """Options in an order by lot."""
    return tuple(options[int(i)] for i in lot.permutation(len(options)))


def _checked(path: Path) -> tuple[_Line, ...]:
    """The lines of a file. One on this machine is read again only when it has changed: a form and
    its estimate ask at every letter that is typed.
    """
    file = text_files.one_file(path, "file of items", f"JSON lines such as {_FORM}")
    if file.size > _BYTES:
        raise BadInput(
            f"{file.base} is larger than {_BYTES >> 20} MB.", "some thousand items", "Keep fewer."
        )
    if file.local is None:
        return tuple(_lines(file))
    about = file.local.stat()
    key = (str(file.local.absolute()), about.st_size, about.st_mtime_ns)
    found = _read.get(key)
    if found is None:
        found = tuple(_lines(file))
        _read.clear()
        _read[key] = found
    return found


_read: dict[tuple[str, int, int], tuple[_Line, ...]] = {}
"""(path, bytes, when it was changed) -> lines of the last file."""


def _lines(file: TextFile) -> Iterator[_Line]:
    before: dict[str, str] = {}
    with file.open() as raw:
        for number, each in enumerate(raw, 1):
            if not each.strip():
                continue
            line = _line(each, f"Line {number} of {file.base}")
            question = line.versions[0][1]
            if question in before:
                raise BadInput(
                    f"{line.where} asks what {before[question]} has asked: {question[:80]!r}.",
                    "every item once",
                    "Remove one of them, or make it a variant.",
                )
            before[question] = line.where[0].lower() + line.where[1:]
            yield line


def _line(raw: bytes, where: str) -> _Line:
    try:
        given = json.loads(raw)
    except ValueError as error:
        raise BadInput(f"{where} is no JSON: {error}.", _FORM, "Mend that line.") from error
    if not isinstance(given, dict):
        raise BadInput(f"{where} is no JSON object.", _FORM, "Mend that line.")
    if rows := given.get("rows"):
        made = _generated(given, rows, where)
    else:
        made = [(ORIGINAL, *_asks(given, given, where))]
        made += _variants(given, made[0], where)
    name, family = str(given.get("name") or where), str(given.get("family") or "")
    for text in (name, family, *(t for _, q, a, o in made for t in (q, a, *o))):
        check_unicode(text, where)
    return _Line(where, name, family, tuple(made))


def _variants(given: dict[str, Any], original: Asked, where: str) -> list[Asked]:
    listed = given.get("variants") or []
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise BadInput(
            f"The variants of {_within(where)} are no list of objects.", _FORM, "Mend that line."
        )
    found: list[Asked] = []
    before = {original[1]}
    for each in listed:
        question, answer, options = _asks(each, given, where)
        if question in before:
            raise BadInput(
                f"A variant of {_within(where)} asks what stands there before: {question[:80]!r}.",
                "other words, or another question",
                "Change or remove it.",
            )
        before.add(question)
        same = answer.casefold() == original[2].casefold()
        found.append((PARAPHRASE if same else CHANGED, question, answer, options))
    return found


def _generated(given: dict[str, Any], rows: Any, where: str) -> list[Asked]:
    """The item and the fresh ones of a line with fields and rows."""
    template = given.get("question")
    fields = _FIELD.findall(template) if isinstance(template, str) else []
    if (
        not isinstance(template, str)
        or not fields
        or not isinstance(rows, list)
        or not all(isinstance(r, dict) for r in rows)
    ):
        raise BadInput(
            f"{where} has rows, but nothing that they fill in.",
            '{"question": "What is {a} plus {b}?", "rows": [{"a": 2, "b": 3, "answer": "5"}, …]}',
            "Put the names of the columns in braces into the question.",
        )
    found: list[Asked] = []
    before: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        if missing := [field for field in fields if field not in row]:
            raise BadInput(
                f"Row {number} of {_within(where)} has no {missing[0]!r}.",
                f"values of {', '.join(dict.fromkeys(fields))}, and an answer",
                "Add it.",
            )
        filled = "".join(
            str(row[piece]) if at % 2 else piece for at, piece in enumerate(_FIELD.split(template))
        )
        question, answer, options = _asks({**row, "question": filled}, given, where)
        if question in before:
            raise BadInput(
                f"The generator of {_within(where)} repeats itself: rows {before[question]} and"
                f" {number} both ask {question[:80]!r}.",
                "rows that all differ",
                "Remove one of them.",
            )
        before[question] = number
        found.append((FRESH if found else ORIGINAL, question, answer, options))
    return found


def _asks(
    own: dict[str, Any], item: dict[str, Any], where: str
) -> tuple[str, str, tuple[str, ...]]:
    """Question, answer and options of a version; what it does not say is that of the item."""
    texts = []
    for key in ("question", "answer"):
        text = own.get(key, item.get(key))
        if isinstance(text, int | float) and not isinstance(text, bool):
            text = str(text)
        if not isinstance(text, str) or not text.strip():
            raise BadInput(f"{where} has no {key}.", _FORM, "Add it.")
        texts.append(text.strip())
    question, answer = texts
    options = _options(own.get("options", item.get("options")), answer, where)
    if _gives_away(question, answer, options):
        raise BadInput(
            f"The question of {_within(where)} gives its answer away: {answer!r} stands in"
            f" {question[:80]!r}.",
            "a question that has to be answered",
            "Take the answer out of the question, or name all options in it.",
        )
    return question, answer, options


def _options(given: Any, answer: str, where: str) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) < 2:
        raise BadInput(
            f"The options of {_within(where)} are no list of two or more.",
            '"options": ["Paris", "Rome"]',
            "Name at least two, or none.",
        )
    options = tuple(str(each).strip() for each in given)
    plain = [each.casefold() for each in options]
    if repeated := next((one for one in options if plain.count(one.casefold()) > 1), None):
        raise BadInput(
            f"{where} has the option {repeated!r} twice.",
            "options that all differ",
            "Remove one of them.",
        )
    if "" in plain:
        raise BadInput(f"{where} has an empty option.", "some text", "Fill or remove it.")
    if answer not in options:
        raise BadInput(
            f"The answer {answer!r} of {_within(where)} is not among its options.",
            f"one of {', '.join(options)}",
            "Correct one of them.",
        )
    return options


def _gives_away(question: str, answer: str, options: Sequence[str]) -> bool:
    """Whether the answer stands in the question and another option does not."""

    def stands(text: str) -> bool:
        return bool(re.search(rf"(?<!\w){re.escape(text)}(?!\w)", question, re.IGNORECASE))

    # One letter or digit is a word of many questions.
    return len(answer) > 1 and stands(answer) and not (options and all(map(stands, options)))


def _within(where: str) -> str:
    return where[0].lower() + where[1:]
