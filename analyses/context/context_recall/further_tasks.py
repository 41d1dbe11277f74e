"""Tasks by request: documents, keys and values, missing items, order, repetition, sessions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.context.context_recall import score_tables
from analyses.measures import recall_documents as documents
from analyses.measures import recall_lists as lists
from analyses.measures import recall_order as order
from analyses.measures import recall_ruler as ruler
from analyses.measures import recall_sessions as sessions
from analyses.measures.recall_contexts import INTRUSION
from analyses.measures.recall_scores import recall
from analyses.measures.statistics import rate_interval

if TYPE_CHECKING:
    import pandas as pd

    from analyses.context.context_recall.params import Params
    from analyses.measures.recall_contexts import Context
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_EACH = 4  # lists of `lists` for one context of a task: 48 lists make 12 contexts


def _documents(seed: int) -> list[Context]:
    return [documents.documents(count, seed) for count in (6, 18)]


def _ruler(seed: int) -> list[Context]:
    keys = [ruler.several_keys(count, seed) for count in (1, 4, 8)]
    return [*keys, ruler.several_values(4, seed), ruler.chains(seed)]


def _missing(seed: int) -> list[Context]:
    return [lists.missing_number(largest, seed) for largest in (8, 16, 32, 64)]


def _sessions(seed: int) -> list[Context]:
    return [sessions.sessions(seed), *sessions.standing_rule(seed)]


MADE: dict[str, Callable[[int], list[Context]]] = {
    "documents": _documents,
    "ruler": _ruler,
    "missing": _missing,
    "order": order.which_first,
    "repetition": lists.read_twice,
    "sessions": _sessions,
}
"""By part."""


def task_contexts(part: str, params: Params) -> list[Context]:
    """Contexts of a part, of so many seeds."""
    count = max(4, params.lists // _EACH)
    return [each for n in range(count) for each in MADE[part](params.seed * 100_003 + n)]


def ask(model: InstrumentedModel, part: str, params: Params, progress: Progress) -> pd.DataFrame:
    """Rates of a part by task, condition and kind of question."""
    given = [each for each in task_contexts(part, params) if _fits(model, each)]
    scores = recall(model, given, progress, says=f"Part {part}")
    frame = score_tables.rows_of(given, scores)
    guesses = [1 / len(q.candidates) for context in given for q in context.questions]
    return rates(frame.assign(guess=guesses), part)


def _fits(model: InstrumentedModel, context: Context) -> bool:
    window = model.card.context_length
    return not window or len(model.tokens(context.text)) + score_tables.SPARE <= window


def rates(frame: pd.DataFrame, part: str) -> pd.DataFrame:
    """One row per task, condition and kind of question; questions of one context go together."""
    import pandas as pd

    rows = []
    by = ["task", "condition", "wording_of_question"]
    for (task, condition, kind), each in frame.groupby(by, sort=False):
        hits = each["correct"].to_numpy(bool)
        low, high = rate_interval(hits, each["context"].to_numpy())
        first = float((each["choice"] == "A").mean()) if part == "order" else np.nan
        rows.append((
            part, task, condition, kind, float(hits.mean()), low, high,
            float(each["exact"].mean()), float(each["logprob"].mean()),
            float(each["guess"].mean()), float((each["outcome"] == INTRUSION).mean()), first,
            len(each),
        ))  # fmt: skip
    return pd.DataFrame(rows, columns=_COLUMNS)


_COLUMNS: Sequence[str] = (
    "part", "task", "condition", "kind", "rate", "low", "high", "exact", "logprob", "guess",
    "intrusions", "first", "n",
)  # fmt: skip
