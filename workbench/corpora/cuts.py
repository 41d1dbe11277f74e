"""Where a text may be cut: between tokens, words or characters, as offsets in its UTF-8 bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

_WORDS = re.compile(r"\w+|[^\w\s]+|\s+")


def byte_offsets(text: str) -> np.ndarray:
    """Where each character begins in the text as UTF-8, and where the last one ends:
    (characters + 1,) int64.
    """
    points = np.frombuffer(text.encode("utf-32-le"), "<u4")
    widths = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)
    return np.concatenate([[0], np.cumsum(widths)])


def token_cuts(text: str, spans: Iterable[tuple[int, int]]) -> list[int]:
    """Byte offsets at which a token begins or ends.

    Args:
        spans: which characters each token covers, (start, end), as `model.text.spans(text)` and
            the offsets of fast tokenizers say it.
    """
    at = byte_offsets(text)
    return sorted({0, int(at[-1]), *(int(at[place]) for span in spans for place in span)})


def word_cuts(text: str) -> list[int]:
    """Byte offsets between words, signs and spaces: for texts without a model."""
    return token_cuts(text, (match.span() for match in _WORDS.finditer(text)))


def checked_cuts(cuts: Sequence[int], length: int) -> list[int]:
    """Cuts in order, each once, with beginning and end.

    Raises:
        ValueError: a cut outside the text.
    """
    chosen = sorted({0, length, *(int(cut) for cut in cuts)})
    if chosen[0] < 0 or chosen[-1] > length:
        raise ValueError(f"a cut lies outside the {length} bytes of the text")
    return chosen
