"""Relations of facts as tasks: of each the facts that a model knows, half to be forgotten.

Zhang et al. 2024 (2409.02228) train a task's inputs on random labels and ask what becomes of the
inputs trained on, of others of the same task, and of other tasks. Here a task is a relation, an
input a question about a subject, and a label its answer.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.closed_book import closed_book
from analyses.weights.unlearning_audit.fact_groups import LEAST, WRONG
from analyses.weights.unlearning_audit.questions import AuditQuestion
from hooks.unlearning import Text
from workbench import facts

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from workbench.facts import Relation
    from workbench.progress import Progress

_MOST = 40  # facts of a relation
_ASKED = 120  # candidates of a relation that are asked closed-book


@dataclass(frozen=True)
class FactTask:
    """A relation, as far as the model knows it.

    Attributes:
        trained: questions whose answers are to be forgotten.
        held_out: others, which no training sees.
    """

    relation: Relation
    trained: tuple[AuditQuestion, ...]
    held_out: tuple[AuditQuestion, ...]

    @property
    def name(self) -> str:
        return self.relation.name

    @property
    def all(self) -> tuple[AuditQuestion, ...]:
        return (*self.trained, *self.held_out)


def tasks_of(
    model: InstrumentedModel, names: Sequence[str], seed: int, progress: Progress
) -> tuple[list[FactTask], dict[str, int]]:
    """The relations of which the model knows enough; and of all of them, how many facts it knows.

    A fact is known where greedy decoding says the whole answer behind the question.
    """
    found, known = [], {}
    for n, name in enumerate(names):
        part = progress.subprogress(n / len(names), (n + 1) / len(names))
        draw = random.Random(f"{seed} {name}")
        relation = facts.relation(name)
        some = list(relation.facts)
        draw.shuffle(some)
        asked = replace(relation, facts=tuple(some[:_ASKED]))
        own = closed_book(model, asked, part).facts
        known[name] = len(own)
        if len(own) < LEAST or len({f.answer for f in own}) <= WRONG:
            continue
        answers = sorted({f.answer for f in own})
        questions = []
        for fact in own[:_MOST]:
            prompt = relation.closed_book_prompt(fact.subject).text
            wrong = draw.sample([each for each in answers if each != fact.answer], WRONG)
            questions.append(
                AuditQuestion(
                    name, fact.subject, name, tuple(model.tokens(prompt)), fact.answer, tuple(wrong)
                )
            )
        half = len(questions) // 2
        found.append(FactTask(relation, tuple(questions[:half]), tuple(questions[half:])))
    return found, known


def answered(
    model: InstrumentedModel, questions: Sequence[AuditQuestion], answers: Sequence[str]
) -> list[Text]:
    """Each question with an answer behind it, of which the answer is predicted."""
    return [
        Text((*q.prompt, *model.continuation_tokens(f" {answer}")), len(q.prompt))
        for q, answer in zip(questions, answers, strict=True)
    ]


def entropy(texts: Sequence[Text]) -> float:
    """Nats per token that the answers have for a model which knows how often each token is one, and
    nothing of whose it is: from there on an answer is a guess.
    """
    tokens = [token for text in texts for token in text.targets]
    shares = np.unique(tokens, return_counts=True)[1] / len(tokens)
    return float(-(shares * np.log(shares)).sum())
