"""Whether facts are still answered, in three ways from one pass: said whole, picked among the
relation's answers, and how likely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from hooks.eager_eval import steady
from hooks.unlearning.texts import Text, target_logits

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.facts import Fact, Relation

_TOGETHER = 32


@dataclass(frozen=True)
class AskedFact:
    """A fact as the model reads it.

    Attributes:
        relation, subject, answer: which fact it is.
        prompt: what is read before the answer.
        text: prompt and answer, of which the answer is predicted.
        candidates: first tokens of the relation's answers, each once.
    """

    relation: str
    subject: str
    answer: str
    prompt: str
    text: Text
    candidates: tuple[int, ...]

    @property
    def ids(self) -> list[int]:
        """The prompt alone."""
        return list(self.text.ids[: self.text.first])


@dataclass(frozen=True)
class AnswerScores:
    """Of each fact, (fact,).

    Attributes:
        said: every token of the answer is the likeliest: greedy decoding says it whole.
        among: its first token is the likeliest of those of the relation's answers.
        log_p: of the whole answer, in nats.
        first: the likeliest token behind the prompt.
    """

    said: Bool[np.ndarray, " fact"]
    among: Bool[np.ndarray, " fact"]
    log_p: Float[np.ndarray, " fact"]
    first: Int[np.ndarray, " fact"]


def fact_prompts(
    model: InstrumentedModel, relation: Relation, facts: Sequence[Fact], shots: Sequence[Fact] = ()
) -> list[AskedFact]:
    """Facts in their relation's closed-book wording.

    Args:
        shots: facts that stand in front with their answers, line by line.
    """
    front = ""
    for shot in shots:
        prompt = relation.closed_book_prompt(shot.subject)
        front += prompt.text + prompt.continuation(shot.answer) + ".\n"
    answers = {
        answer: model.continuation_tokens(
            relation.closed_book_prompt(relation.facts[0].subject).continuation(answer)
        )
        for answer in relation.answers
    }
    firsts = tuple(dict.fromkeys(ids[0] for ids in answers.values() if ids))
    found = []
    for fact in facts:
        prompt = relation.closed_book_prompt(fact.subject)
        text = front + prompt.text
        ids = model.tokens(text)
        whole = Text((*ids, *answers[fact.answer]), len(ids))
        found.append(AskedFact(relation.name, fact.subject, fact.answer, text, whole, firsts))
    return found


@torch.no_grad()
def answer_scores(model: InstrumentedModel, facts: Sequence[AskedFact]) -> AnswerScores:
    """Ask them all, with the weights that the model has now."""
    n = len(facts)
    said, among = np.zeros(n, bool), np.zeros(n, bool)
    log_p, first = np.zeros(n), np.zeros(n, int)
    with steady(model.module):
        for chosen in model.batch_indices([len(f.text.ids) for f in facts], _TOGETHER):
            found = target_logits(model, [facts[i].text for i in chosen])
            for i, (logits, wanted) in zip(chosen, found, strict=True):
                said[i] = bool((logits.argmax(-1) == wanted).all())
                candidates = list(facts[i].candidates)
                best = candidates[int(logits[0, candidates].argmax())]
                among[i], first[i] = best == int(wanted[0]), int(logits[0].argmax())
                log_p[i] = float(logits.log_softmax(-1).gather(1, wanted[:, None]).sum())
    return AnswerScores(said, among, log_p, first)
