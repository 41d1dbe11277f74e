"""Passages, one of which answers each question (multi-document question answering)."""

from __future__ import annotations

import numpy as np

from analyses.measures.recall_contexts import CANDIDATES, Context, RecallQuestion
from analyses.measures.recall_words import NAMES, WORDS
from analyses.measures.recall_writing import drawn, placed, spaced

PLACES = tuple(
    f"{first}{last}" for first in ("Ash", "Brook", "Clay", "Elm", "Fern", "Glen", "Hazel", "Oak")
    for last in ("ford", "ham", "wick")
)  # fmt: skip
"""Villages that do not exist, or that nobody writes about."""
BEGINNING, MIDDLE, END = THIRDS = ("first third", "middle third", "last third")


def documents(count: int, seed: int) -> Context:
    """So many passages about villages; the mayor of each is asked for.

    Args:
        count: 3 to 24.
    """
    rng = np.random.default_rng([seed, 23, count])
    villages, mayors = drawn(rng, PLACES, count), drawn(rng, NAMES, count + CANDIDATES)
    wares = drawn(rng, WORDS, count)
    pieces = [
        f"Document [{n + 1}] The village of {village} is known for its {ware}. Its mayor is"
        f" {mayor}, and the road to it is long.\n"
        for n, (village, ware, mayor) in enumerate(zip(villages, wares, mayors, strict=False))
    ]
    text, items = placed(pieces)
    questions = tuple(
        RecallQuestion(
            f"\nQuestion: Who is the mayor of {village}?\nAnswer: The mayor of {village} is",
            f" {mayors[n]}", spaced(mayors), items[n], THIRDS[3 * n // count],
        )
        for n, village in enumerate(villages)
    )  # fmt: skip
    return Context(text, questions, items, {"task": "documents", "condition": f"{count} documents"})
