"""How an analysis will cut a text, before it is run: what its `preview(model, params)` gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Piece:
    """A stretch of the text: given to the model, wanted from it, or in neither."""

    text: str
    kind: Literal["prefix", "suffix", "outside"]


@dataclass(frozen=True)
class TextPreview:
    """The cut in words, and the beginning of the text with its first window; `title` stands above
    them.
    """

    says: str
    pieces: Sequence[Piece] = ()
    title: str = "How the text is cut"
