"""Whether a linear probe of the states still tells right answers from wrong ones (2409.02228: after
training on random labels it does).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from analyses.measures.statistics import mean_interval
from analyses.weights.unlearning_audit.fact_tasks import answered
from analyses.weights.unlearning_audit.probes import fitted, pooled_states
from analyses.weights.unlearning_audit.questions import AuditQuestion

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

SHUFFLES = 20


def answer_probe(
    model: InstrumentedModel, questions: Sequence[AuditQuestion], seed: int
) -> pd.DataFrame:
    """In how many of the questions a logistic regression on the last token's state of a layer puts
    the right answer above a wrong one; trained on one half of the questions, asked on the other,
    both ways.

    The wrong answer is that of another question in the same half, so that each answer is right once
    and wrong once and cannot be told by itself. Beside it the same with right and wrong dealt out
    by lot among the questions that are trained on.

    Returns:
        A row per layer: `layer`, `accuracy` (chance is one half) with its 95 % interval over
        questions (`low`, `high`), mean (`shuffled`) and highest (`shuffled_high`) of `SHUFFLES`
        shuffles, and `n` questions.
    """
    halves = _halves(questions, seed)
    right, wrong = (
        answered(model, [q for half in halves for q, _ in half], answers)
        for answers in (
            [q.answer for half in halves for q, _ in half],
            [other for half in halves for _, other in half],
        )
    )
    many = len(right)
    second = np.arange(many) >= len(halves[0])
    states = pooled_states(model, [*right, *wrong], list(range(model.n_layers)))
    draw = np.random.default_rng(seed)
    kept = np.ones(many, bool)
    swaps = [draw.random(many) < 0.5 for _ in range(SHUFFLES)]
    rows = []
    for layer in range(model.n_layers):
        x = states[layer, "last"]
        hits = _put_right(x[:many], x[many:], second, kept)
        null = [_put_right(x[:many], x[many:], second, swap).mean() for swap in swaps]
        mean, (low, high) = mean_interval(hits.astype(float))
        rows.append(
            {
                "layer": layer,
                "accuracy": mean,
                "low": max(0.0, low),
                "high": min(1.0, high),
                "shuffled": float(np.mean(null)),
                "shuffled_high": float(np.max(null)),
                "n": many,
            }
        )
    return pd.DataFrame(rows)


def _halves(questions: Sequence[AuditQuestion], seed: int) -> list[list[tuple[AuditQuestion, str]]]:
    """Two halves by lot, each question with the answer of another in its half; one whose partner
    has the same answer is left out.
    """
    order = list(questions)
    random.Random(f"{seed} probe").shuffle(order)
    found = []
    for half in (order[: len(order) // 2], order[len(order) // 2 :]):
        # Sorted by answer and turned by half its length, few meet their own answer again.
        own = sorted(half, key=lambda q: q.answer)
        turned = own[len(own) // 2 :] + own[: len(own) // 2]
        pairs = zip(own, turned, strict=True)
        found.append([(q, other.answer) for q, other in pairs if q.answer != other.answer])
    return found


def _put_right(
    right: Float[np.ndarray, "question d_model"],
    wrong: Float[np.ndarray, "question d_model"],
    second: Bool[np.ndarray, " question"],
    kept: Bool[np.ndarray, " question"],
) -> Bool[np.ndarray, " question"]:
    """Whether a probe trained on the other half puts a question's right answer above the wrong one.

    Args:
        kept: where False, right and wrong change places in training.
    """
    hits = np.zeros(len(right), bool)
    first = np.where(kept[:, None], right, wrong)
    other = np.where(kept[:, None], wrong, right)
    for test in (second, ~second):
        train = ~test
        label = np.repeat([1.0, 0.0], int(train.sum()))
        asked = np.concatenate([right[test], wrong[test]])
        logit = fitted(np.concatenate([first[train], other[train]]), label, asked)
        hits[test] = logit[: int(test.sum())] > logit[int(test.sum()) :]
    return hits
