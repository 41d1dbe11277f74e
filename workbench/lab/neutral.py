"""Prose that nothing is asked about: what is read beside and between the texts that matter."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from workbench.organisms import corpus


def neutral_pieces(
    tokenizer: Any, length: int, draw: random.Random, share: corpus.Share
) -> Iterator[list[int]]:
    """Pieces of the corpus of so many tokens, one of a document, none twice in a round; without
    end.
    """
    documents = list(corpus.documents(share))
    while True:
        draw.shuffle(documents)
        for document in documents:
            ids = tokenizer(document.text[: 12 * length], add_special_tokens=False, verbose=False)[
                "input_ids"
            ][:length]
            if len(ids) == length:
                yield ids
