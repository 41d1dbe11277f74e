"""What recall has to be in texts whose truth is known: no needle, one that cannot be seen, one that
nobody learned to read, one right before the question.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analyses.context.context_recall import score_tables
from analyses.context.context_recall.params import lengths_of
from analyses.measures import recall_contexts as contexts
from analyses.measures.recall_scores import recall, recall_by_whole_passes
from analyses.measures.statistics import rate_interval
from analyses.measures.untrained_twin import untrained
from hooks.hidden_keys import hidden_positions, unavailable_reason

if TYPE_CHECKING:
    import pandas as pd

    from analyses.context.context_recall.params import Params
    from analyses.measures.recall_contexts import Context
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

LENGTH = 128
"""Tokens of the texts of the controls that read them anew."""
DEPTH = 0.5


def short_contexts(model: InstrumentedModel, params: Params) -> list[Context]:
    """Every needle in the middle of a short text."""
    length = min(LENGTH, score_tables.fitting(model, lengths_of(params))[0][0])
    return [
        contexts.needle(model, hidden, length, DEPTH, filler=params.filler)
        for hidden in contexts.needles(params.needles, params.seed)
    ]


def masked(model: InstrumentedModel, given: Sequence[Context]) -> pd.DataFrame:
    """Scores with each needle's keys hidden from all tokens behind it."""
    found = []
    for context in given:
        start, end = context.questions[0].evidence
        spans = model.text.spans(context.text)
        at = [n for n, (a, b) in enumerate(spans) if a < end and b > start and b > a]
        with hidden_positions(model, at):
            found += recall_by_whole_passes(model, [context])
    return score_tables.rows_of(given, found)


def ask(
    model: InstrumentedModel, params: Params, grid: pd.DataFrame, progress: Progress
) -> pd.DataFrame:
    """One row per control: how often the answer is the likeliest candidate, and how often greedy
    decoding says it. Candidates of made-up facts are eight: a guess is right one time in eight.
    """
    given = short_contexts(model, params)
    absent = grid[grid["task"] == "absent"]
    hidden_ones = grid[grid["task"] == "needle"]
    rows = [("no needle in the text", absent[absent["kind"] != "agrees"], "rare")]
    last = hidden_ones["depth"] == hidden_ones["depth"].max()
    if hidden_ones["depth"].max() == 1:
        rows.append(("needle right before the question", hidden_ones[last], "almost always"))
    seen = score_tables.rows_of(given, recall(model, given, progress.subprogress(0, 0.3)))
    rows.append(("needle in a short text", seen, "as in the map"))
    if unavailable_reason(model) is None:
        progress(0.3, "Needles whose keys are hidden")
        rows.append(("the same, its keys hidden", masked(model, given), "as without a needle"))
    twin = recall(
        untrained(model, params.seed), given, progress.subprogress(0.6, 1), says="Untrained twin"
    )
    rows.append(("the same, untrained twin", score_tables.rows_of(given, twin), "a guess"))
    return _table(rows)


def _table(rows: Sequence[tuple[str, pd.DataFrame, str]]) -> pd.DataFrame:
    import pandas as pd

    found = []
    for name, part, expected in rows:
        hits, groups = part["correct"].to_numpy(bool), part["needle"].to_numpy()
        low, high = rate_interval(hits, groups)
        said = part["exact"].to_numpy(bool)
        said_low, said_high = rate_interval(said, groups)
        found.append((name, expected, float(hits.mean()), low, high, float(said.mean()), said_low,
                      said_high, float(part["logprob"].mean()), len(part)))  # fmt: skip
    columns = ["control", "expected", "rate", "low", "high", "exact", "exact_low", "exact_high",
               "logprob", "n"]  # fmt: skip
    return pd.DataFrame(found, columns=columns)
