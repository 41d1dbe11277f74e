"""Which item is recalled after which: free recall of a list, by how far the next item stands from
the last one (lag-CRP, Kahana 1996; in language models Ji-An et al. 2024).

Each item in turn is the last one that was recalled, and any of the others may come next. Given is
the share of a lag among the places that have an item so far away, so that short lags, which more
places have, are not favoured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.context.context_recall.constants import FREE, FREE_TWIN, SHUFFLED
from analyses.measures.recall_contexts import Context, RecallQuestion
from analyses.measures.recall_scores import recall
from analyses.measures.recall_words import WORDS
from analyses.measures.recall_writing import drawn, placed
from analyses.measures.statistics import mean_interval
from analyses.measures.untrained_twin import untrained

if TYPE_CHECKING:
    import pandas as pd

    from analyses.context.context_recall.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_HEAD = "Here is a list of words:\n"
_ASK = "\nThe same words once more, in any order:\n{}\n"
_TWIN_LISTS = 6
"""Lists that the untrained twin reads, at most."""


def free_recall(length: int, seed: int, order: int = 0) -> Context:
    """A list of words, a line each. After each of them any of the others may come next: the
    candidates, in the order in which they were read; the one behind it (behind the last the first)
    stands for the answer.

    Args:
        order: another order of the same words for each number but 0.
    """
    rng = np.random.default_rng([seed, 53])
    words = drawn(rng, WORDS, length)
    if order:
        words = [words[int(n)] for n in np.random.default_rng([seed, order]).permutation(length)]
    text, items = placed([_HEAD, *(f"{word}\n" for word in words)])
    questions = []
    for place, word in enumerate(words):
        others = tuple(each for each in words if each != word)
        behind = words[(place + 1) % length]
        questions.append(
            RecallQuestion(_ASK.format(word), behind, others, items[1 + place], "next")
        )
    return Context(text, tuple(questions), (), {"task": "free recall", "length": length})


def list_contexts(params: Params) -> dict[str, list[Context]]:
    """Lists by condition; the same words in all."""
    seeds = [params.seed * 100_003 + n for n in range(params.lists)]
    half = seeds[: max(2, params.lists // 2)]
    own = [free_recall(params.pairs, seed) for seed in seeds]
    return {
        FREE: own,
        SHUFFLED: [free_recall(params.pairs, seed, order=1) for seed in half],
        FREE_TWIN: own[:_TWIN_LISTS],
    }


def ask(model: InstrumentedModel, params: Params, progress: Progress) -> pd.DataFrame:
    """By condition and lag, the share of places with such an item from which it comes next, mean
    over lists with its interval, and what a guess gives: columns condition, lag, share, low, high,
    guess, n (lists).
    """
    import pandas as pd

    made, rows = list_contexts(params), []
    total, done = sum(map(len, made.values())), 0
    for name, given in made.items():
        reader = model if name != FREE_TWIN else untrained(model, params.seed)
        part = progress.subprogress(done / total, (done + len(given)) / total)
        scores = recall(reader, given, part, says=f"Free recall ({name})")
        chosen = np.array(
            [[int(np.argmax(score.logprobs)) for score in scored] for scored in scores]
        )
        for lag, shares in by_lag(chosen).items():
            mean, (low, high) = mean_interval(shares)
            low, high = max(0.0, low), min(1.0, high)  # of a share
            rows.append((name, lag, mean, low, high, 1 / (params.pairs - 1), len(given)))
        done += len(given)
    columns = ["condition", "lag", "share", "low", "high", "guess", "n"]
    return pd.DataFrame(rows, columns=columns)


def by_lag(chosen: np.ndarray) -> dict[int, np.ndarray]:
    """For each lag the share of places from which the item so far away comes next, by list.

    Args:
        chosen: which candidate comes next, (list, place); candidates are the other items in order.
    """
    places = np.arange(chosen.shape[1])
    following = chosen + (chosen >= places)  # the item itself is none of its candidates
    lags = following - places
    n = len(places)
    return {
        lag: (lags == lag)[:, max(0, -lag) : n - max(0, lag)].mean(1)
        for lag in range(1 - n, n)
        if lag
    }
