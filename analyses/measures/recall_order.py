"""Which of two sentences of a text came first (SORT)."""

from __future__ import annotations

import numpy as np

from analyses.measures.recall_contexts import Context, RecallQuestion
from analyses.measures.recall_words import sentences

IN_CONTEXT, WITHOUT = CONDITIONS = ("with the text", "without the text")
LENGTH = 12
"""Sentences of the text."""


def which_first(seed: int) -> list[Context]:
    """A text and two of its sentences, shown in both orders; and the same questions behind another
    text, which says nothing of them.

    The kind of a question says how far apart the sentences stand, and its answer is a letter:
    what always says the same letter is right half of the time.
    """
    rng = np.random.default_rng([seed, 47])
    pool = sentences("prose")
    start = int(rng.integers(len(pool) - 2 * LENGTH))
    text, other = pool[start : start + LENGTH], pool[start + LENGTH : start + 2 * LENGTH]
    first, second = sorted(int(n) for n in rng.permutation(LENGTH)[:2])
    kind = "near" if second - first <= LENGTH // 3 else "far"
    questions = []
    for shown in ((first, second), (second, first)):
        ask = (
            f"\n\nTwo sentences of this text:\nA. {text[shown[0]]}\nB. {text[shown[1]]}\nQuestion:"
            " Which of the two came first in the text, A or B?\nAnswer:"
        )
        answer = " A" if shown[0] == first else " B"
        questions.append(RecallQuestion(ask, answer, (" A", " B"), (0, 0), kind))
    return [
        Context(" ".join(read), tuple(questions), (), {"task": "order", "condition": condition})
        for condition, read in zip(CONDITIONS, (text, other), strict=True)
    ]
