"""Windows of a text: a prefix the model is given, and the suffix it would have to say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.texts import Document


@dataclass(frozen=True)
class Window:
    """A prefix and the suffix that follows it, as token ids.

    `beginning` tokens stand before the prefix.

    `document` and `start` (in tokens of the document) say where it lies.
    """

    document: int
    start: int
    beginning: tuple[int, ...]
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]

    @property
    def prompt(self) -> list[int]:
        return [*self.beginning, *self.prefix]


def cut(
    model: InstrumentedModel, documents: Iterable[Document], prefix: int, suffix: int, stride: int
) -> tuple[list[Document], list[Window], list[Document]]:
    """(documents that have windows, their windows, documents that are too short for one).

    A window starts at the beginning of a document and then every `stride` tokens. Before each
    stands what the tokenizer puts before every text (see `hooks.beginning_token`): the model has
    learned to read nothing without it.
    """
    first = model.text.beginning
    used: list[Document] = []
    windows: list[Window] = []
    short: list[Document] = []
    for document in documents:
        ids = document.ids or tuple(model.text.encode(document.text))
        starts = range(0, len(ids) - prefix - suffix + 1, stride)
        if not len(starts):
            if document.start == 0:
                short.append(document)
            continue
        for start in starts:
            middle, end = start + prefix, start + prefix + suffix
            windows.append(
                Window(len(used), start, first, tuple(ids[start:middle]), tuple(ids[middle:end]))
            )
        used.append(document)
    return used, windows, short
