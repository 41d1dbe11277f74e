"""Prose that nothing is asked about: what is read beside and between the texts that matter."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from workbench.errors import BadInput
from workbench.organisms import corpus


def neutral_pieces(
    tokenizer: Any, length: int, draw: random.Random, share: corpus.Share
) -> Iterator[list[int]]:
    """Pieces of the corpus of so many tokens, one of a document, none twice in a round; without
    end.

    Raises:
        BadInput: no document is as long.
    """
    documents, found = list(corpus.documents(share)), True
    while found:
        draw.shuffle(documents)
        found = False
        for document in documents:
            ids = tokenizer(document.text[: 12 * length], add_special_tokens=False, verbose=False)[
                "input_ids"
            ][:length]
            if len(ids) == length:
                found = True
                yield ids
    raise BadInput(
        f"No neutral text that ships has {length:,} tokens.",
        "pieces that documents are long enough for",
        "Ask for shorter ones.",
    )
