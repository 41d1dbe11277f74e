"""Text that says nothing of what is asked, to stand in the place of text that may."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from workbench.organisms import corpus

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

_TRIES = 400  # chapters that are looked at


def neutral_tokens(
    model: InstrumentedModel, length: int, draws: int, avoid: Sequence[str], seed: int
) -> list[tuple[int, ...]]:
    """Token runs of one length, each from the beginning of other chapters of the shipped books.

    Chapters that hold one of the words in `avoid` are left out, and so are special tokens.
    """
    wanted = [word.strip().casefold() for word in avoid if word.strip()]
    chapters = _chapters(wanted, seed)
    return [_run(model, chapters, length) for _ in range(draws)]


def _chapters(avoid: Sequence[str], seed: int) -> Iterator[str]:
    """Texts of the share that no organism was trained on, then of the others; again from the
    front when they are used up.
    """
    texts = [document.text for document in corpus.documents("neutral")]
    random.Random(seed).shuffle(texts)
    fit = [text for text in texts if not any(word in text.casefold() for word in avoid)]
    while True:
        yield from fit or texts


def _run(model: InstrumentedModel, chapters: Iterator[str], length: int) -> tuple[int, ...]:
    ids: list[int] = []
    for _ in range(_TRIES):
        if len(ids) >= length:
            break
        # A token has some four characters; what is cut off is not looked at.
        words = " " + next(chapters)[: 8 * length + 200].strip()
        ids += [
            token for token in model.continuation_tokens(words) if not model.text.is_special(token)
        ]
    return tuple(ids[:length])
