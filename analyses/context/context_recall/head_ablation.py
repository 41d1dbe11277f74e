"""What is lost with some heads off: facts in the text, repetition, what is known closed-book."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.context.context_recall.constants import INDUCTION, INTACT, RANDOM, RETRIEVAL, TASKS
from analyses.context.context_recall.head_sets import Heads, top_heads
from analyses.context.context_recall.params import shares_of
from analyses.measures.recall_scores import recall
from analyses.measures.statistics import rate_interval
from hooks.interventions import ablate
from hooks.read_once import whole
from workbench import facts

if TYPE_CHECKING:
    import pandas as pd

    from analyses.context.context_recall.params import Params
    from analyses.measures.recall_contexts import Context
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

ASKED, KNOWN = 48, 16
"""Capitals that are asked, and those known that are asked again and again, at most."""
TEXTS = 4
"""Repeated texts that are read each time."""


@dataclass(frozen=True)
class Lost:
    """What is asked with heads off.

    Attributes:
        needles: texts with a fact.
        repeated: texts that say the same tokens twice.
        known: prompts that the model completes closed-book, and the first token of each answer.
    """

    needles: Sequence[Context]
    repeated: Sequence[Sequence[int]]
    known: list[tuple[list[int], int]]


def known_facts(model: InstrumentedModel) -> list[tuple[list[int], int]]:
    """Capitals whose first token the model says closed-book."""
    relation = facts.relation("capital")
    found = []
    for fact in relation.facts[:ASKED]:
        prompt = relation.closed_book_prompt(fact.subject)
        answer = model.continuation_tokens(prompt.continuation(fact.answer))
        found.append((model.tokens(prompt.text), answer[0]))
    said = model.next_logits([ids for ids, _ in found]).argmax(-1).tolist()
    return [each for each, token in zip(found, said, strict=True) if token == each[1]][:KNOWN]


def sets_of(table: pd.DataFrame, params: Params) -> Iterator[tuple[str, int, int, Heads]]:
    """(which heads, how many, draw, them): the first by retrieval score, the first by induction
    score, and random ones that are not among the first.
    """
    heads = top_heads(table, ["layer", "head"], len(table))
    rng = np.random.default_rng([params.seed, 19])
    for count in sorted({max(1, round(share * len(heads))) for share in shares_of(params)}):
        by_score = top_heads(table, ["retrieval", "attention"], count)
        yield RETRIEVAL, count, 0, by_score
        yield INDUCTION, count, 0, top_heads(table, ["induction"], count)
        others = [each for each in heads if each not in by_score]
        for draw in range(params.draws):
            chosen = rng.permutation(len(others))[:count]
            yield RANDOM, count, draw, [others[i] for i in chosen]


def measure(
    model: InstrumentedModel, lost: Lost, table: pd.DataFrame, params: Params, progress: Progress
) -> pd.DataFrame:
    """One row for each set of heads and task."""
    import pandas as pd

    sets = [(INTACT, 0, 0, Heads()), *sets_of(table, params)]
    rows = []
    for n, (name, count, draw, heads) in enumerate(sets):
        part = progress.subprogress(n / len(sets), (n + 1) / len(sets))
        with ablate(model, heads) if heads else nullcontext():
            for task, (hits, groups, logprob) in _asked(model, lost, part).items():
                low, high = rate_interval(hits, groups)
                rows.append((name, count, draw, task, float(hits.mean()), low, high, logprob,
                             len(hits), " ".join(f"L{a}H{b}" for a, b in heads)))  # fmt: skip
    columns = ["off", "count", "draw", "task", "rate", "low", "high", "logprob", "n", "heads"]
    return pd.DataFrame(rows, columns=columns)


def _asked(
    model: InstrumentedModel, lost: Lost, progress: Progress
) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """By task: (right or not, what goes together, mean log-probability of what is right)."""
    found = {}
    scores = recall(model, lost.needles, progress, says="Facts with heads off")
    names = [context.facts["needle"] for context in lost.needles for _ in context.questions]
    hits = np.array([s.exact for each in scores for s in each])
    found[TASKS[0]] = hits, np.array(names), float(np.mean([s.logprob for e in scores for s in e]))
    right, likely = [], []
    for ids in lost.repeated:
        n = (len(ids) - len(model.text.beginning)) // 2
        logits, second = whole(model, ids)[-n - 1 : -1], ids[-n:]
        # The first token of the second half cannot be told.
        right.append((logits.argmax(-1).numpy() == np.array(second))[1:])
        likely.append(logits.log_softmax(-1)[range(n), second].numpy()[1:])
    each = np.repeat(np.arange(len(right)), [len(row) for row in right])
    found[TASKS[1]] = np.concatenate(right), each, float(np.concatenate(likely).mean())
    if lost.known:
        logits = model.next_logits([ids for ids, _ in lost.known])
        tokens = [token for _, token in lost.known]
        said = logits.argmax(-1).cpu().numpy() == np.array(tokens)
        logprob = logits.log_softmax(-1)[range(len(tokens)), tokens].mean()
        found[TASKS[2]] = said, np.arange(len(said)), float(logprob)
    return found
