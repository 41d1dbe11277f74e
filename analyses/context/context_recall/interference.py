"""Whether further items or mere distance make an item be lost, and which items do.

Distance is neutral text, items are pairs of the same list; both are crossed: beginnings of one
list, each followed by several lengths of neutral text, so that one reading serves all.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from analyses.context.context_recall import score_tables
from analyses.context.context_recall.params import neutral_of
from analyses.measures import recall_contexts as contexts
from analyses.measures.recall_contexts import CANDIDATES, Context, RecallQuestion
from analyses.measures.recall_scores import recall
from analyses.measures.recall_words import NAMES, WORDS, sentences

if TYPE_CHECKING:
    import pandas as pd

    from analyses.context.context_recall.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_DRAWS = 300
_BLOCK = 4  # pairs of a day
SURNAMES = ("Bell", "Stone", "Wood", "King", "Hill", "Lake", "Fox", "Rice")
PROACTIVE, RETROACTIVE, SIMILAR = "proactive", "retroactive", "similar names"
SAME, OTHERS = "same names twice", "other names each time"
"""What the second of two lists has: the names of the first (A-B, A-C), or its own (A-B, C-D)."""


def lists_of(params: Params) -> int:
    """Lists that are asked about."""
    return max(4, params.lists // 3)


def distance_contexts(model: InstrumentedModel, params: Params) -> list[Context]:
    """Beginnings of lists, each with no neutral text behind it, some, and more."""
    made = []
    for n in range(lists_of(params)):
        whole = contexts.key_value(params.pairs, params.seed * 100_003 + 50_000 + n)
        for pairs in beginnings(params.pairs):
            part = _beginning(whole, pairs)
            for tokens in neutral_of(params):
                text = f"{part.text}{neutral(model, tokens)}"
                facts: dict[str, contexts.Level] = {
                    "task": "distance",
                    "list": n,
                    "pairs": pairs,
                    "neutral": tokens,
                }
                made.append(replace(part, text=text, facts=facts))
    return made


def beginnings(pairs: int) -> list[int]:
    """How many pairs of a list are read: a third, two thirds, all."""
    return sorted({max(2, round(pairs * share)) for share in (1 / 3, 2 / 3, 1)})


def _beginning(whole: Context, pairs: int) -> Context:
    """The first pairs of a list. Candidates are the same whatever is read."""
    return Context(
        whole.text[: whole.items[pairs - 1][1] + 1], whole.questions[:pairs], whole.items[:pairs]
    )


def neutral(model: InstrumentedModel, tokens: int) -> str:
    """So many tokens of whole neutral sentences and a line break, or as few less as can be."""
    kept: list[str] = []
    for sentence in sentences("stories") * (1 + tokens // 100):
        if len(model.continuation_tokens(f"{' '.join([*kept, sentence])}\n")) > tokens:
            break
        kept.append(sentence)
    return f"{' '.join(kept)}\n" if kept else ""


def distance(frame: pd.DataFrame, whole: int) -> pd.DataFrame:
    """The rows with how many items stand between each pair and its question."""
    return frame.assign(items=frame["pairs"] - 1 - frame["place"], first=frame["place"] == 0)


def fit(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Logistic regression of being correct on items between, neutral tokens between and whether it
    is the first of its list: log-odds per item, and per four tokens of neutral text (the length of
    an item), with 95 % intervals from drawing lists again.
    """
    import pandas as pd

    y = frame["correct"].to_numpy(float)
    x = np.column_stack([
        np.ones(len(y)), frame["items"], frame["neutral"] / 4, frame["first"].astype(float),
    ]).astype(float)  # fmt: skip
    groups = frame["list"].to_numpy()
    found, rng = logistic(x, y), np.random.default_rng([seed, 13])
    by_list = [np.flatnonzero(groups == each) for each in np.unique(groups)]
    again = []
    for _ in range(_DRAWS):
        rows = np.concatenate([by_list[i] for i in rng.integers(len(by_list), size=len(by_list))])
        again.append(logistic(x[rows], y[rows]))
    draws = np.array(again)
    apart = np.column_stack([draws, draws[:, 1] - draws[:, 2]])
    values = [*found, found[1] - found[2]]
    names = ["constant", "item between", "as much neutral text", "first of its list",
             "item, less as much neutral text"]  # fmt: skip
    rows_ = []
    for n, (name, value) in enumerate(zip(names, values, strict=True)):
        low, high = np.percentile(apart[:, n], [2.5, 97.5])
        rows_.append((name, float(value), float(low), float(high), len(y)))
    return pd.DataFrame(rows_, columns=["what", "mean", "low", "high", "n"])


def logistic(x: np.ndarray, y: np.ndarray, ridge: float = 1e-2) -> np.ndarray:
    """Coefficients of a logistic regression by Newton's method; a slight ridge keeps them finite
    where one column parts the outcomes.

    Args:
        x: (row, column), with a column of ones.
        y: (row,), 0 or 1.
    """
    weights = np.zeros(x.shape[1])
    penalty = np.full(x.shape[1], ridge)
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        slope = x.T @ (y - p) - penalty * weights
        bend = (x * (p * (1 - p))[:, None]).T @ x + np.diag(penalty)
        step = np.linalg.solve(bend, slope)
        weights += step
        if np.abs(step).max() < 1e-8:
            break
    return weights


def competition_contexts(params: Params) -> list[Context]:
    """Two lists of days whose names are the same or not, and lists of names alike or not."""
    made: list[Context] = []
    for n in range(lists_of(params)):
        rng = np.random.default_rng([params.seed, 7, n])
        names = [str(each) for each in rng.permutation(NAMES)[: 2 * _BLOCK]]
        words = [str(each) for each in rng.permutation(WORDS)[: 2 * _BLOCK + CANDIDATES]]
        for condition in (SAME, OTHERS):
            second = names[:_BLOCK] if condition == SAME else names[_BLOCK:]
            made.append(_two_days(n, condition, names[:_BLOCK], second, words))
        for condition in (SIMILAR, "unlike names"):
            made.append(_full_names(n, condition, rng, words))
    return made


def _two_days(
    number: int, condition: str, first: list[str], second: list[str], words: list[str]
) -> Context:
    """A list of Monday's pairs and one of Tuesday's; each day is asked for by its name."""
    lines = [f"Monday, {name}: {word}\n" for name, word in zip(first, words, strict=False)]
    lines += [
        f"Tuesday, {name}: {word}\n" for name, word in zip(second, words[_BLOCK:], strict=False)
    ]
    kinds = [RETROACTIVE] * _BLOCK + [PROACTIVE] * _BLOCK
    return _of_lines(lines, words, kinds, {"task": condition, "list": number})


def _full_names(number: int, condition: str, rng: np.random.Generator, words: list[str]) -> Context:
    """A list of first names and surnames: all of one first name, or each of its own."""
    firsts = [str(each) for each in rng.permutation(NAMES)[:_BLOCK]]
    lasts = [str(each) for each in rng.permutation(SURNAMES)[:_BLOCK]]
    firsts = [firsts[0]] * _BLOCK if condition == SIMILAR else firsts
    lines = [
        f"{first} {last}: {word}\n" for first, last, word in zip(firsts, lasts, words, strict=False)
    ]
    return _of_lines(lines, words, [SIMILAR] * _BLOCK, {"task": condition, "list": number})


def _of_lines(
    lines: list[str], words: list[str], kinds: list[str], facts: dict[str, contexts.Level]
) -> Context:
    """A context of lines `name: word`, all asked for. Candidates are the words of the lines and as
    many others.
    """
    candidates = tuple(f" {word}" for word in words[: len(lines) + CANDIDATES // 2])
    items, questions, start = [], [], 0
    for line, kind, answer in zip(lines, kinds, candidates, strict=False):
        place = start, start + len(line) - 1
        ask = line[: line.index(":") + 1]
        items.append(place)
        questions.append(RecallQuestion(ask, answer, candidates, place, kind))
        start += len(line)
    return Context("".join(lines), tuple(questions), tuple(items), facts)


def competition(frame: pd.DataFrame) -> pd.DataFrame:
    """Rates of the three kinds of competition, each beside its control; `old` is the share that is
    answered by the word which the same name has on the other day.
    """
    frame = frame.assign(kind=frame["wording_of_question"], condition=frame["task"])
    partner = np.where(frame["place"] < _BLOCK, frame["place"] + _BLOCK, frame["place"] - _BLOCK)
    frame = frame.assign(old=frame["intruder"].to_numpy() == partner)
    table = score_tables.rates(frame, ["kind", "condition"], "list")
    old = frame.groupby(["kind", "condition"], sort=False)["old"].mean().to_numpy()
    return table.assign(partner=np.where(table["kind"] == SIMILAR, np.nan, old))


def ask(
    model: InstrumentedModel, params: Params, progress: Progress
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(rows of the distances, rows of the competition)."""
    given = distance_contexts(model, params)
    half, says = progress.subprogress(0, 0.8), "Items and distance"
    rows = score_tables.rows_of(given, recall(model, given, half, says=says))
    others = competition_contexts(params)
    rest = progress.subprogress(0.8, 1)
    found = recall(model, others, rest, says="Competing pairs")
    return distance(rows, params.pairs), score_tables.rows_of(others, found)
