"""Whether what a model writes about a subject is like texts about its new answer: the consistency
of Meng et al. 2022, a tf-idf cosine.

There the texts are those of Wikipedia about subjects that truly have the new answer. Here the
unedited model writes them itself, about such subjects (the true fact said before) and about the
answer, so they say what this model knows, with its mistakes.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hooks.decode import InterventionDecoder
from workbench import facts

if TYPE_CHECKING:
    from analyses.weights.edit_ledger.cases import EditCase
    from hooks.model import InstrumentedModel

WRITTEN = 48
"""Tokens that are written on."""


def write(model: InstrumentedModel, prompts: Sequence[str]) -> list[str]:
    """Each prompt continued greedily by `WRITTEN` tokens, all at once."""
    if not prompts:
        return []
    rows = [model.tokens(prompt) for prompt in prompts]
    with InterventionDecoder(model, rows).with_head_scales() as reading:
        return [each.text for each in reading.complete(lambda row, text: False, WRITTEN)]


@dataclass(frozen=True)
class Consistency:
    """Cosines of one text to the texts about either answer, each between 0 and 1."""

    new: float
    old: float


class References:
    """Texts about the new and the old answer of each fact.

    Args:
        model: as it is before any edit.
    """

    def __init__(self, model: InstrumentedModel, cases: Sequence[EditCase]) -> None:
        wanted = dict.fromkeys(p for case in cases for p in (*case.about_new, *case.about_old))
        self._texts = dict(zip(wanted, write(model, list(wanted)), strict=True))
        paragraphs = facts.neutral_text().split("\n\n")
        self._documents = [set(_words(text)) for text in (*paragraphs, *self._texts.values())]

    def of(self, case: EditCase, text: str) -> Consistency:
        """A text about the case's subject, beside those about its answers."""
        mine = self._weights(text)
        new, old = (
            _cosine(mine, self._weights(" ".join(self._texts[p] for p in prompts)))
            for prompts in (case.about_new, case.about_old)
        )
        return Consistency(new, old)

    def _weights(self, text: str) -> dict[str, float]:
        """How often each word comes, times log((1 + texts) / (1 + texts with it))."""
        n = 1 + len(self._documents)
        return {
            word: count * math.log(n / (1 + sum(word in each for each in self._documents)))
            for word, count in Counter(_words(text)).items()
        }


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _cosine(one: dict[str, float], other: dict[str, float]) -> float:
    sizes = [math.sqrt(sum(w**2 for w in each.values())) for each in (one, other)]
    both = sum(weight * other.get(word, 0.0) for word, weight in one.items())
    return both / (sizes[0] * sizes[1]) if all(sizes) else 0.0
