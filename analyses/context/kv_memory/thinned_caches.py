"""Part `policies`: every policy at every budget, on the same reading of a context."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from analyses.context.kv_memory.constants import (
    ELSEWHERE,
    FULL,
    IN_VIEW,
    ORACLE,
    QUARTER,
    UNKNOWN,
    WHOLE,
    WITHOUT,
)
from analyses.context.kv_memory.measured_rows import scores_of, survival
from hooks.kv_cache.budget import SINKS, cache_bytes, everything, keep, without
from hooks.kv_cache.policies import newest
from hooks.kv_cache.policy_registry import policies, policy, scored
from hooks.kv_cache.shared_rows import complete, question_keys

if TYPE_CHECKING:
    from analyses.context.kv_memory.params import Params
    from analyses.context.kv_memory.recall_texts import AskedQuestion, RecallText
    from hooks.kv_cache.budget import Kept
    from hooks.kv_cache.context_memory import ContextMemory
    from hooks.kv_cache.policies import CachePolicy

_SHOWN_TOKENS = 12  # of the answers that are shown


@dataclass(frozen=True)
class _Row:
    """One question under one mask."""

    question: int
    kept: Kept | None
    facts: dict[str, Any]


@dataclass
class PolicyMeasures:
    """What the contexts gave so far, as rows of tables."""

    answers: list[dict[str, Any]] = field(default_factory=list)
    smearing: list[dict[str, Any]] = field(default_factory=list)
    turns: list[dict[str, Any]] = field(default_factory=list)


def policies_of(params: Params) -> list[CachePolicy]:
    """The policies of a run.

    Raises:
        NotFound: a name that there is not.
    """
    names = [name.strip() for name in params.policies.split(",") if name.strip()]
    return [policy(name) for name in dict.fromkeys(names)] if names else list(policies().values())


def measure(
    text: RecallText, chosen: list[CachePolicy], budgets: list[float], into: PolicyMeasures
) -> dict[str, dict[float, Kept]]:
    """All rows of one context; gives what each policy kept before the question was known."""
    memory = text.memory
    scores = {p.name: scored(p, memory) for p in chosen}
    blind = {p.name: {b: _keep(memory, p, scores[p.name], b) for b in budgets} for p in chosen}
    rows: list[_Row] = []
    for number, question in enumerate(text.questions):
        rows += _blind_rows(memory, blind, budgets, number, question)
        rows += _smearing_rows(text, number, question)
    rows += _rows_in_view(text, chosen, scores, budgets)
    found = scores_of(memory, [r.kept for r in rows], [text.questions[r.question] for r in rows])
    whole = cache_bytes(memory, everything(memory))
    for row, score in zip(rows, found, strict=True):
        question = text.questions[row.question]
        shared = {
            "context": text.number, "task": text.task, "question": row.question,
            "exact": score.exact, "logprob": score.logprob,
        }  # fmt: skip
        table = row.facts["table"]
        facts = {name: value for name, value in row.facts.items() if name != "table"}
        if table == "answers":
            share = 1.0 if row.kept is None else cache_bytes(memory, row.kept) / whole
            facts |= {"survival": survival(row.kept, question.answer_at), "bytes": share}
        getattr(into, table).append(shared | facts)
    return blind


def _keep(
    memory: ContextMemory, policy: CachePolicy, scores: dict[int, torch.Tensor], budget: float
) -> Kept:
    return keep(memory, scores, budget, sinks=policy.sinks, recent=policy.recent)


def _blind_rows(
    memory: ContextMemory,
    blind: dict[str, dict[float, Kept]],
    budgets: list[float],
    number: int,
    question: AskedQuestion,
) -> Iterator[_Row]:
    """The full cache, every policy before the question was known, and what knows the answer."""

    def facts(name: str, budget: float) -> dict[str, Any]:
        return {"table": "answers", "policy": name, "view": UNKNOWN, "budget": budget}

    yield _Row(number, None, facts(FULL, 1.0))
    for name, by_budget in blind.items():
        for budget, kept in by_budget.items():
            yield _Row(number, kept, facts(name, budget))
    known = _oracle_scores(memory, question)
    for budget in budgets:
        yield _Row(number, keep(memory, known, budget, sinks=0), facts(ORACLE, budget))


def _oracle_scores(memory: ContextMemory, question: AskedQuestion) -> dict[int, torch.Tensor]:
    """What knows the question keeps the answer, the rest of the evidence, the first tokens and the
    newest, in this order.
    """
    n, scores = len(memory), {}
    for layer, held in memory.layers.items():
        at = newest(held.keys, held.values, held.queries, memory.surprisal).clone()
        at[:, :SINKS] = n + 1.0
        at[:, slice(*question.evidence)] = n + 2.0
        at[:, slice(*question.answer_at)] = n + 3.0
        scores[layer] = at
    return scores


def _smearing_rows(text: RecallText, number: int, question: AskedQuestion) -> Iterator[_Row]:
    """Only the evidence is removed, in all heads; or as many tokens elsewhere."""
    first, behind = question.evidence
    width, n = behind - first, len(text.memory)
    rng = np.random.default_rng([text.number, number])
    free = [at for at in range(SINKS, n - width) if at + width <= first or at >= behind]
    yield _Row(number, None, {"table": "smearing", "kept": WHOLE})
    yield _Row(number, without(text.memory, first, behind), {"table": "smearing", "kept": WITHOUT})
    if free:
        at = int(rng.choice(free))
        other = without(text.memory, at, at + width)
        yield _Row(number, other, {"table": "smearing", "kept": ELSEWHERE})


def _rows_in_view(
    text: RecallText,
    chosen: list[CachePolicy],
    scores: dict[str, dict[int, torch.Tensor]],
    budgets: list[float],
) -> Iterator[_Row]:
    """Policies that look at queries, with a question in view; and the other questions of the
    context over the cache that was thinned out for the first of them.
    """
    memory, n = text.memory, len(text.questions)
    first = text.number % n
    looking = [p for p in chosen if p.asks_queries]
    turned = min(budgets, key=lambda b: abs(b - QUARTER))
    for number, question in enumerate(text.questions if looking else []):
        behind = question_keys(memory, question.ask)
        for p in looking:
            in_view = scored(p, memory, blind=scores[p.name], behind=behind)
            for budget in budgets:
                kept = _keep(memory, p, in_view, budget)
                facts = {"policy": p.name, "view": IN_VIEW, "budget": budget}
                yield _Row(number, kept, {"table": "answers", **facts})
                if number != first or n == 1 or budget != turned:
                    continue
                for turn in range(n):
                    more = {"policy": p.name, "budget": budget, "turn": turn + 1}
                    yield _Row((first + turn) % n, kept, {"table": "turns", **more})


def shown(
    text: RecallText, blind: dict[str, dict[float, Kept]], budgets: list[float]
) -> tuple[pd.DataFrame, np.ndarray]:
    """What one context's answer becomes under each policy and budget, as rows; and from which
    budget on each position is kept, (policy, layer, kv_head, pos), as a place among the budgets;
    one more than there are: with all of the cache alone.
    """
    question, memory = text.questions[0], text.memory
    masks: list[Kept | None] = [None]
    keys = [(FULL, 1.0)]
    for name, by_budget in blind.items():
        for budget, kept in by_budget.items():
            masks.append(kept)
            keys.append((name, budget))
    said = complete(memory, masks, question.ask, _SHOWN_TOKENS)
    model = memory.model
    likely = scores_of(memory, masks, [question] * len(masks))
    rows = pd.DataFrame({
        "policy": [name for name, _ in keys],
        "budget": [budget for _, budget in keys],
        "says": [model.text.decode_continuation(ids) for ids in said],
        "exact": [score.exact for score in likely],
        "probability": [float(np.exp(score.logprob)) for score in likely],
        "survival": [survival(mask, question.answer_at) for mask in masks],
    })  # fmt: skip
    n_kv = max(m.keys.shape[0] for m in memory.layers.values())
    held = np.full((len(blind), len(memory.layers), n_kv, len(memory)), len(budgets), np.uint8)
    for i, by_budget in enumerate(blind.values()):
        for place in reversed(range(len(budgets))):
            for j, mask in enumerate(by_budget[budgets[place]].values()):
                held[i, j, : len(mask)][mask.cpu().numpy()] = place
    return rows, held
