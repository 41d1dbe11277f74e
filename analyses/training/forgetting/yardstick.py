"""What is measured of every mixture of base and fine-tuned weights: text and facts, in few
tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.forgetting_answers import AnswerScores, AskedFact, answer_scores
from analyses.measures.forgetting_divergence import BasePredictions, base_predictions, divergence

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


@dataclass(frozen=True)
class Measurement:
    """Of one set of weights.

    Attributes:
        kl: KL from the base on neutral text, nats per token.
        neutral, task: loss on neutral text and on the new task's, nats per token.
        answers: of the facts.
    """

    kl: float
    neutral: float
    task: float
    answers: AnswerScores

    @property
    def log_p(self) -> float:
        """Mean log probability of the old answers."""
        return float(self.answers.log_p.mean())

    @property
    def right(self) -> float:
        """Share of facts that are said whole."""
        return float(self.answers.said.mean())


@dataclass(frozen=True)
class MixtureYardstick:
    """Neutral rows, rows of the new task, and facts."""

    neutral: BasePredictions
    task: BasePredictions
    facts: Sequence[AskedFact]

    @classmethod
    def of(
        cls,
        model: InstrumentedModel,
        neutral: BasePredictions,
        task: BasePredictions,
        facts: Sequence[AskedFact],
        rows: int,
    ) -> MixtureYardstick:
        """On the first `rows` rows of each; the base's weights are in the model."""
        first, other = (
            base_predictions(model.module, replace(each.rows, ids=each.rows.ids[:rows]))
            for each in (neutral, task)
        )
        return cls(first, other, facts)

    def measure(self, model: InstrumentedModel) -> Measurement:
        """With the weights that are in the model now."""
        neutral, task = (divergence(model.module, each) for each in (self.neutral, self.task))
        return Measurement(
            float(neutral.kl.mean()),
            float(neutral.nats.mean()),
            float(task.nats.mean()),
            answer_scores(model, self.facts),
        )


def share(value: float, of: float) -> float:
    """One number over another; NaN where the other is too small to divide by."""
    return value / of if abs(of) > 1e-6 else float(np.nan)
