"""Questions asked under one mask each, and what they give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from hooks.kv_cache.shared_rows import ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyses.context.kv_memory.recall_texts import AskedQuestion
    from hooks.kv_cache.budget import Kept
    from hooks.kv_cache.context_memory import ContextMemory


@dataclass(frozen=True)
class AnswerScore:
    """What one row gives.

    Attributes:
        exact: whether greedy decoding says the whole answer.
        logprob: of the whole answer, nats.
    """

    exact: bool
    logprob: float


def scores_of(
    memory: ContextMemory, kept: Sequence[Kept | None], questions: Sequence[AskedQuestion]
) -> list[AnswerScore]:
    """Each question under its mask; many rows share a pass, and all of them one reading."""
    logits = ask(memory, kept, [q.row for q in questions], [len(q.answer) for q in questions])
    found = []
    for said, question in zip(logits, questions, strict=True):
        target = torch.tensor(question.answer)
        each = said.log_softmax(-1).gather(1, target[:, None])[:, 0]
        found.append(AnswerScore(bool((said.argmax(-1) == target).all()), float(each.sum())))
    return found


def survival(kept: Kept | None, places: tuple[int, int]) -> float:
    """Share of KV heads, over all layers, that keep one of some positions or more."""
    if kept is None:
        return 1.0
    heads = [mask[:, places[0] : places[1]].any(1) for mask in kept.values()]
    return float(torch.cat([h.float().cpu() for h in heads]).mean())
