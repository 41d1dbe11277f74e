"""Training one model of recall, and measuring what it recalls.

The curriculum is essential: without it even attention still guessed among the pairs of a row after
1,400 steps. It begins with 4 pairs in rows without filler, and adds 8, 16 and 32 once 80 % of the
largest so far are right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.organisms.recall import task
from workbench.organisms.recall.families import Family
from workbench.organisms.recall.rows import make_rows, shortest
from workbench.progress import Progress

if TYPE_CHECKING:
    import torch

SIZES = (4, 8, 16, 32)
"""Pairs in a row; of delayed recall, tokens between value and question."""
TOKENS = 2048  # in a step
PASSES_AT = 0.8
WARMUP = 50
ROWS = 256
"""Rows that recall is measured on."""


@dataclass(frozen=True)
class Trained:
    """A model and how it came out.

    Attributes:
        recall: by `SIZES`, the share of questions answered with the right value.
        reached: by `SIZES`, the step at which such rows were first read.
    """

    model: Any
    recall: dict[int, float]
    reached: dict[int, int]


def train(
    family: Family, rate: float, seed: int, progress: Progress, steps: int | None = None
) -> Trained:
    """From nothing; the same numbers from the same seed on the same processor.

    Raises:
        Cancelled: from `progress`.
    """
    import torch

    steps = steps or family.steps
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = family.make()
    with short_chunks():
        reached = _trained(model, family, rate, seed, steps, progress)
    return Trained(model.eval(), measure(model, family, seed=seed + 1), reached)


@contextmanager
def short_chunks() -> Iterator[None]:
    """Inside, the gated delta rule of `transformers` works in chunks no longer than a row: it fills
    rows to whole chunks of 64 tokens, and those of 4 pairs have 16.
    """
    from transformers.models.qwen3_next import modeling_qwen3_next as its_file

    kernel = its_file.torch_chunk_gated_delta_rule

    def short(query: torch.Tensor, *args: Any, **more: Any) -> Any:
        return kernel(query, *args, **more, chunk_size=min(64, query.shape[1]))

    its_file.torch_chunk_gated_delta_rule = short
    try:
        yield
    finally:
        its_file.torch_chunk_gated_delta_rule = kernel


def _trained(
    model: Any, family: Family, rate: float, seed: int, steps: int, progress: Progress
) -> dict[int, int]:
    """By `SIZES`, the step at which such rows were first read."""
    import torch

    rows = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.1)
    reached = {SIZES[0]: 0}
    for step in range(steps):
        largest = max(reached)
        pairs = SIZES[int(torch.randint(len(reached), (), generator=rows))]
        batch = make_rows(family, TOKENS // shortest(family, pairs), pairs, 0, rows)
        for group in optimizer.param_groups:
            group["lr"] = rate * _schedule(step, steps)
        logits = _at_questions(model, batch)
        answers = batch.labels[batch.labels != task.NOT_ASKED]
        loss = torch.nn.functional.cross_entropy(logits, answers)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        right = float((logits.argmax(-1) == answers).float().mean())
        if pairs == largest < SIZES[-1] and right > PASSES_AT:
            reached[SIZES[len(reached)]] = step + 1
        progress(step / steps, f"{max(reached)} pairs a row, loss {loss.item():.2f}")
    return reached


def measure(
    model: Any, family: Family, *, seed: int, rows: int = ROWS, passes: int = 1
) -> dict[int, float]:
    """By `SIZES`, the share of questions that the likeliest token answers.

    Rows of 64 tokens, of four a pair (five where half of them are rebound, and two more for every
    further pass) where that is longer; questions anywhere behind the pairs.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    found: dict[int, float] = {}
    with torch.no_grad():
        for pairs in SIZES:
            batch = make_rows(family, rows, pairs, 64, generator, passes)
            answers = batch.labels[batch.labels != task.NOT_ASKED]
            found[pairs] = float((_at_questions(model, batch).argmax(-1) == answers).float().mean())
    return found


def _at_questions(model: Any, batch: Any) -> torch.Tensor:
    """Logits where a key is asked for, (question, token of the vocabulary)."""
    logits: torch.Tensor = model(input_ids=batch.ids, use_cache=False).logits
    return logits[batch.labels != task.NOT_ASKED]


def _schedule(step: int, steps: int) -> float:
    """Share of the learning rate: up over the first steps, then down to nothing by a cosine."""
    return min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * step / steps))
