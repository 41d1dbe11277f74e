"""Questions asked of a model as it is now: how likely the new and the old answer are, and which of
them it gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.closed_book import EXTRA_TOKENS, matches_answer
from analyses.weights.edit_ledger.cases import EditQuestion
from hooks.decode import InterventionDecoder

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


@dataclass(frozen=True)
class Replies:
    """What the model says to each question; arrays are (question,).

    Attributes:
        says: the greedy continuation, up to where it is clear which answer it is.
        gives_new, gives_old: whether it is that answer, whole and as a word.
        new, old: mean log-probability per token of either answer, in nats.
    """

    says: list[str]
    gives_new: np.ndarray
    gives_old: np.ndarray
    new: np.ndarray
    old: np.ndarray

    @property
    def prefers_new(self) -> np.ndarray:
        """Whether the new answer is the likelier of the two, per token: what papers score."""
        return np.asarray(self.new > self.old)


def ask(
    model: InstrumentedModel,
    questions: Sequence[EditQuestion],
    before: Callable[[str], str] = lambda text: text,
) -> Replies:
    """Every question, in one reading.

    Args:
        before: what the model is given in place of a prompt, e.g. with a statement in front.
    """
    prompts = [model.tokens(before(q.text)) for q in questions]
    new, old = (
        [model.continuation_tokens(q.behind(getattr(q, which))) for q in questions]
        for which in ("new", "old")
    )
    longest = max(map(len, [*new, *old])) + EXTRA_TOKENS

    def is_decided(row: int, text: str) -> bool:
        q = questions[row]
        fits = [matches_answer(text, answer, ended=False) for answer in (q.new, q.old)]
        return True in fits or None not in fits

    with InterventionDecoder(model, prompts).with_head_scales() as reading:
        says = [each.text for each in reading.complete(is_decided, max_new_tokens=longest)]
        logp = [reading.logp(answers)[1].numpy() for answers in (new, old)]
    return Replies(
        says,
        _gives(says, [q.new for q in questions]),
        _gives(says, [q.old for q in questions]),
        logp[0] / [len(each) for each in new],
        logp[1] / [len(each) for each in old],
    )


def _gives(says: Sequence[str], answers: Sequence[str]) -> np.ndarray:
    pairs = zip(says, answers, strict=True)
    return np.array([bool(matches_answer(text, answer, ended=True)) for text, answer in pairs])
