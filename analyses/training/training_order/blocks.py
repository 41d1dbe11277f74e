"""What is read: blocks of text with a sentence planted in each, and prose before them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from analyses.training.training_order import constants as c
from hooks import context_window
from workbench import texts
from workbench.errors import BadInput
from workbench.organisms import corpus, synthetic_passages
from workbench.wording import counted

if TYPE_CHECKING:
    from pathlib import Path

    from analyses.training.training_order.params import Params
    from hooks.model import InstrumentedModel

Row = tuple[int, ...]
_MOST_BYTES = 8 << 20


@dataclass(frozen=True)
class TextBlock:
    """A block of text.

    Attributes:
        rows: its text, in rows of one length.
        sentence: the planted one, as tokens.
    """

    name: str
    text: str
    rows: list[Row]
    sentence: Row
    planted: str

    @property
    def read(self) -> list[Row]:
        """What every update on this block reads."""
        return [*self.rows, self.sentence]


@dataclass(frozen=True)
class Reading:
    """All that a run reads.

    Attributes:
        twins: sentences from the same generator that nobody reads.
        before: what a new model reads first, by update.
        lead: what every order begins with, by update.
        tail: what every order ends with.
        updates: on each block, one after the other.
    """

    blocks: list[TextBlock]
    twins: list[Row]
    before: list[list[Row]]
    lead: list[list[Row]]
    tail: list[list[Row]]
    updates: int

    @property
    def batches(self) -> list[list[Row]]:
        """Everything an update on the way reads, numbered: the lead, the blocks, the tail."""
        return [*self.lead, *(block.read for block in self.blocks), *self.tail]

    def numbers(self, order: Sequence[int]) -> list[int]:
        """An order of blocks as numbers of batches, one for each update."""
        lead, last = len(self.lead), len(self.lead) + len(self.blocks)
        between = [lead + block for block in order for _ in range(self.updates)]
        return [*range(lead), *between, *range(last, last + len(self.tail))]


def reading(model: InstrumentedModel, params: Params) -> Reading:
    """The blocks, and the prose before them.

    Raises:
        BadInput: fewer than three blocks, texts too short for a row, or rows too long for the asked
            model.
    """
    length = params.length - len(model.text.beginning)
    if params.length < c.ITEM_TOKENS // 2 or length < 2:
        raise BadInput(
            f"Rows of {params.length} tokens are too short.",
            f"{c.ITEM_TOKENS // 2} or more",
            "Make them longer.",
        )
    if params.start == "asked":
        context_window.check(model, params.length, "A row")
    taken: set[str] = set()
    chosen = _documents(model, params, taken)
    planted = _sentences(model, params)
    blocks = []
    for name, text, rows in chosen:
        words, ids = next(planted)
        blocks.append(TextBlock(name, text, rows, ids, words))
    twins = [ids for _, ids in islice(planted, len(blocks))]
    fresh = params.before if params.start == "fresh" else 0
    prose = _prose(model, params, taken)
    before, lead, tail = (
        [list(islice(prose, rows)) for _ in range(updates)]
        for updates, rows in (
            (fresh, c.BEFORE_ROWS), (params.lead, params.rows), (params.tail, params.rows)
        )
    )  # fmt: skip
    return Reading(blocks, twins, before, lead, tail, params.steps)


def _documents(
    model: InstrumentedModel, params: Params, taken: set[str]
) -> list[tuple[str, str, list[Row]]]:
    """(name, text, rows) of each block; `taken` gets the titles of what ships."""
    if params.texts is not None:
        return _own_documents(model, params, params.texts)
    found = []
    documents = list(corpus.documents("train"))
    random.Random(f"{params.seed} blocks").shuffle(documents)
    for document in documents:
        rows = _rows(model, document.text, params.length, params.rows)
        if len(rows) == params.rows:
            found.append((f"{document.source}: {document.title}", document.text, rows))
            taken.add(document.title)
        if len(found) == params.blocks:
            return found
    raise BadInput(
        f"Of what ships, {counted(len(found), 'document')} can fill {params.rows} rows of"
        f" {params.length} tokens.",
        f"{params.blocks} of them",
        "Choose fewer rows or blocks, or a smaller length.",
    )


def _own_documents(
    model: InstrumentedModel, params: Params, path: Path
) -> list[tuple[str, str, list[Row]]]:
    found, short = [], 0
    for document in texts.paragraphs(path, _MOST_BYTES):
        rows = _rows(model, document.text, params.length, params.rows)
        short += not rows
        if rows:
            found.append((document.name, document.text, rows))
        if len(found) == params.blocks:
            break
    if len(found) < c.LEAST_BLOCKS:
        raise BadInput(
            f"The texts make {counted(len(found), 'block')}; {counted(short, 'text')} had fewer"
            f" than {params.length} tokens.",
            f"{c.LEAST_BLOCKS} blocks or more, of {params.length} tokens each",
            "Give more or longer texts, or a smaller length.",
        )
    return found


def _rows(model: InstrumentedModel, text: str, length: int, most: int) -> list[Row]:
    """Rows from the beginning of a text, at most so many; what is left at its end is left out."""
    front = tuple(model.text.beginning)
    room = length - len(front)
    # No token of any tokenizer in use is longer on average than so many characters of text.
    ids = model.text.encode(text[: 16 * room * most])
    starts = range(0, len(ids) - room + 1, room)
    return [(*front, *ids[at : at + room]) for at in starts[:most]]


def _sentences(model: InstrumentedModel, params: Params) -> Iterator[tuple[str, Row]]:
    """Invented people, each a text and its first tokens."""
    source = synthetic_passages.KINDS["biography"](random.Random(f"{params.seed} planted"))
    front = tuple(model.text.beginning)
    for text in source:
        ids = model.text.encode(text)[: c.ITEM_TOKENS]
        if len(ids) == c.ITEM_TOKENS:
            yield model.text.decode(ids), (*front, *ids)


def _prose(model: InstrumentedModel, params: Params, taken: set[str]) -> Iterator[Row]:
    """Rows of other documents of what ships, again from the first when all are read."""
    documents = [d for d in corpus.documents("train") if d.title not in taken]
    draw = random.Random(f"{params.seed} prose")
    while True:
        draw.shuffle(documents)
        for document in documents:
            yield from _rows(model, document.text, params.length, 4)


def half(row: Row) -> int:
    """Where the second half of a planted sentence begins."""
    return len(row) - c.ITEM_TOKENS // 2
