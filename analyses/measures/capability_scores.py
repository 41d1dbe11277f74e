"""How well a model gives the answers of capability prompts, as it is or under a change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hooks import out_of_memory
from hooks.eager_eval import steady

if TYPE_CHECKING:
    from analyses.measures.capability_prompts import CapabilityPrompt
    from hooks.model import InstrumentedModel

BATCH = 32
"""Prompts that are read at once."""


@dataclass(frozen=True)
class CapabilityScores:
    """Of each prompt, in their order.

    Attributes:
        loss: mean nats per token of the answer, (prompt,).
        right: whether every token of the answer is the likeliest, (prompt,).
        likeliest: the likeliest token at each token of the answer, given the right ones before it.
    """

    loss: np.ndarray
    right: np.ndarray
    likeliest: list[list[int]]


def batches(model: InstrumentedModel, prompts: Sequence[CapabilityPrompt]) -> Iterator[list[int]]:
    """Which prompts are read together: of about one length, and of one length where padding is
    read.
    """
    order = sorted(range(len(prompts)), key=lambda n: len(prompts[n].ids))
    for rows in model.batch_indices([len(prompts[n].ids) for n in order], BATCH):
        yield [order[row] for row in rows]


@torch.no_grad()
def answer_scores(
    model: InstrumentedModel,
    prompts: Sequence[CapabilityPrompt],
    progress: Callable[[float, str], None] = lambda fraction, says: None,
    says: str = "Reading answers",
) -> CapabilityScores:
    """One teacher-forced pass over the prompts, under whatever change is on.

    Args:
        says: what is told to `progress`.
    """
    loss, right = np.zeros(len(prompts)), np.zeros(len(prompts), bool)
    likeliest: list[list[int]] = [[] for _ in prompts]

    def read(rows: list[int]) -> None:
        batch = model.batch([prompts[n].ids for n in rows])
        answers = [prompts[n].answer for n in rows]
        # Padding stands on the left, so all answers end in the last column.
        wide = max(answers)
        with steady(model.module):
            out = model.forward(**batch.kwargs(), logits_to_keep=wide + 1, use_cache=False)
        logits = out.logits[:, -wide - 1 : -1].float()
        targets = batch.input_ids[:, -wide:].to(logits.device)
        nats = logits.logsumexp(-1) - logits.gather(-1, targets[..., None])[..., 0]
        best = logits.argmax(-1)
        for row, (n, length) in enumerate(zip(rows, answers, strict=True)):
            loss[n] = float(nats[row, -length:].mean())
            right[n] = bool((best[row, -length:] == targets[row, -length:]).all())
            likeliest[n] = best[row, -length:].tolist()

    done = 0
    for rows in batches(model, prompts):
        progress(done / len(prompts), says)
        out_of_memory.in_parts(model, rows, read)
        done += len(rows)
    return CapabilityScores(loss, right, likeliest)
