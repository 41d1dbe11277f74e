"""Scores as rows of a table, and rates of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.recall_contexts import CORRECT
from analyses.measures.statistics import rate_interval, wilson

if TYPE_CHECKING:
    import pandas as pd

    from analyses.measures.recall_contexts import Context
    from analyses.measures.recall_scores import RecallScore
    from hooks.model import InstrumentedModel

SPARE = 64  # tokens that a question and its answer have room for


def rows_of(contexts: Sequence[Context], scores: Sequence[Sequence[RecallScore]]) -> pd.DataFrame:
    """One row per question: the facts of its context, the question, and what was recalled."""
    import pandas as pd

    rows = []
    for number, (context, each) in enumerate(zip(contexts, scores, strict=True)):
        for place, (question, score) in enumerate(zip(context.questions, each, strict=True)):
            rows.append({
                **context.facts,
                "context": number,
                "place": place,
                "wording_of_question": question.kind,
                "ask": question.ask.strip(),
                "evidence": context.text[slice(*question.evidence)],
                "answer": question.answer.strip(),
                "choice": score.choice.strip(),
                "outcome": score.outcome,
                "correct": score.outcome == CORRECT,
                "exact": score.exact,
                "rank": score.rank,
                "logprob": score.logprob,
                "intruder": score.intruder,
            })  # fmt: skip
    return pd.DataFrame(rows)


def rates(frame: pd.DataFrame, by: Sequence[str], together: str = "") -> pd.DataFrame:
    """Share of correct choices for each combination of `by`, with its 95 % interval, beside the
    share that greedy decoding says and the mean log-probability.

    Args:
        together: a column; questions that share its value go together. By default each stands
            alone.
    """
    import pandas as pd

    rows = []
    for key, part in frame.groupby(list(by), sort=False):
        hits = part["correct"].to_numpy(bool)
        low, high = (
            rate_interval(hits, part[together].to_numpy())
            if together
            else wilson(int(hits.sum()), len(hits))
        )
        rows.append((
            *key, float(hits.mean()), low, high, float(part["exact"].mean()),
            float(part["logprob"].mean()), len(part),
        ))  # fmt: skip
    return pd.DataFrame(rows, columns=[*by, "rate", "low", "high", "exact", "logprob", "n"])


def fitting(model: InstrumentedModel, lengths: Sequence[int]) -> tuple[list[int], list[int]]:
    """(lengths that a question still fits behind in the model's window, those that are left out).

    Where none fits, three quarters of the window.
    """
    window = model.card.context_length
    if not window:
        return list(lengths), []
    kept = [n for n in lengths if n + SPARE <= window]
    return kept or [window * 3 // 4], [n for n in lengths if n + SPARE > window]


def spread(count: int) -> list[float]:
    """So many depths from the beginning to the end; the middle, if only one."""
    return [0.5] if count == 1 else [float(x) for x in np.linspace(0.0, 1.0, count)]
