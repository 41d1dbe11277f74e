"""Facts hidden in other text: by depth and length, and by wording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.context.context_recall import score_tables, variance
from analyses.context.context_recall.params import lengths_of
from analyses.measures import recall_contexts as contexts
from analyses.measures.recall_scores import recall, recall_closed_book
from analyses.measures.recall_words import FILLERS

if TYPE_CHECKING:
    import pandas as pd

    from analyses.context.context_recall.params import Params
    from analyses.measures.recall_contexts import Context
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

SHORT = 192
"""Tokens of the texts in which wordings are varied, at most."""
MIDDLE_DEPTHS = (0.1, 0.5, 0.9)
GRID = ("needle", "wording_of_question", "depth", "length")
WORDED = ("needle", "wording", "wording_of_question", "filler", "depth")


def grid_contexts(model: InstrumentedModel, params: Params) -> list[Context]:
    """Every needle at every depth of every length, and every length without one."""
    found = []
    lengths, _ = score_tables.fitting(model, lengths_of(params))
    for hidden in contexts.needles(params.needles, params.seed):
        for length in lengths:
            found += [
                contexts.needle(model, hidden, length, depth, filler=params.filler)
                for depth in score_tables.spread(params.depths)
            ]
            found.append(
                contexts.needle(model, None, length, 0.5, filler=params.filler, about=hidden)
            )
    return found


def worded_contexts(model: InstrumentedModel, params: Params) -> list[Context]:
    """Every needle in both wordings among two fillers at three depths of a short text."""
    length = worded_length(model, params)
    fillers = [params.filler, next(each for each in reversed(FILLERS) if each != params.filler)]
    return [
        contexts.needle(model, hidden, length, depth, filler=filler, wording=wording)
        for hidden in contexts.needles(params.needles, params.seed)
        for filler in fillers
        for wording in range(len(hidden.fact.statements))
        for depth in MIDDLE_DEPTHS
    ]


def worded_length(model: InstrumentedModel, params: Params) -> int:
    """Tokens of the texts in which wordings are varied."""
    return min(SHORT, score_tables.fitting(model, lengths_of(params))[0][0])


def ask(
    model: InstrumentedModel, given: list[Context], progress: Progress, says: str
) -> pd.DataFrame:
    """One row per question, with what the model says closed-book."""
    closed = recall_closed_book(model, given)
    priors = [[score.choice for score in each] for each in closed]
    scores = recall(model, given, progress, priors=priors, says=says)
    frame = score_tables.rows_of(given, scores)
    alone = [score for each in closed for score in each]
    return frame.assign(
        closed_book=[score.choice.strip() for score in alone],
        gain=frame["logprob"] - [score.logprob for score in alone],
    )


def cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Rates by depth and length of the texts with a needle."""
    hidden = frame[frame["task"] == "needle"]
    return score_tables.rates(hidden, ["depth", "length"], "needle")


def matter(frame: pd.DataFrame, factors: tuple[str, ...], seed: int) -> pd.DataFrame:
    """Variance components of what the text adds to the answer's log-probability."""
    hidden = frame[frame["task"] == "needle"]
    return variance.table(hidden, "gain", factors, "needle", seed)


def passkey_contexts(model: InstrumentedModel, params: Params) -> list[Context]:
    """A number at every depth of every length."""
    lengths, _ = score_tables.fitting(model, lengths_of(params))
    return [
        contexts.passkey(model, length, depth, params.seed)
        for length in lengths
        for depth in score_tables.spread(params.depths)
    ]
