"""What a small model learns from few tasks and from many: by heart, or how to look it up.

A task maps every key to a value. A row shows some pairs of one task and asks for these keys and
for others that it does not show. A model that *memorizes* answers keys that are not shown, of tasks
that it was trained on; one that *generalizes* answers keys that are shown, of tasks that it never
saw.
Two things set which: how many tasks there are, and how large the state is that a row has to fit
into (cf. Raventós et al. 2023; the map over number of tasks and size is ours).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

KEYS = 24
VOCABULARY = 1 + 2 * KEYS
FILLER = 0
SHOWN, ABSENT = 6, 2
"""Pairs of a row, and keys that are asked for besides and stand in none."""
_GAP = 2
_WIDTH, _MLP = 48, 96
_ROWS = 64  # of a step
_RATE, _WARMUP = 5e-3, 50
_MEASURED = 512  # rows
LEARNED = 0.5
"""Share of right answers from which a cell counts as one that memorizes or generalizes."""


@dataclass(frozen=True)
class TaskTraining:
    """One training.

    Attributes:
        tasks: that rows were drawn from; 0 is a new one for every row.
        generalizes: share of right answers to shown keys of new tasks.
        memorizes: … to keys that are not shown, of tasks that it was trained on.
        seen: … to shown keys of tasks that it was trained on.
    """

    tasks: int
    key_dim: int
    seed: int
    generalizes: float
    memorizes: float
    seen: float


def draw_tasks(count: int, generator: torch.Generator) -> torch.Tensor:
    """(task, key): which value each key has."""
    return torch.randint(KEYS, (count, KEYS), generator=generator)


def rows(
    tasks: torch.Tensor, count: int, shown: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows of tasks drawn among these.

    Returns:
        ids (row, token); answers (row, question); positions of the questions (question), first
        those of keys that are shown.
    """
    which = tasks[torch.randint(len(tasks), (count,), generator=generator)]
    keys = torch.rand(count, KEYS, generator=generator).argsort(1)[:, : shown + ABSENT]
    values = which.gather(1, keys)
    asked = torch.rand(count, shown, generator=generator).argsort(1)
    asked = torch.cat([asked, shown + torch.arange(ABSENT).expand(count, -1)], 1)
    pairs = torch.stack([1 + keys, 1 + KEYS + values], -1)[:, :shown].flatten(1)
    questions = torch.full((count, 2 * asked.shape[1]), FILLER)
    questions[:, ::2] = 1 + keys.gather(1, asked)
    ids = torch.cat([pairs, torch.full((count, _GAP), FILLER), questions], 1)
    answers = 1 + KEYS + values.gather(1, asked)
    return ids, answers, 2 * shown + _GAP + 2 * torch.arange(asked.shape[1])


def make_model(key_dim: int) -> Any:
    """One layer with one state of key_dim × 16 (gated delta rule)."""
    from workbench.state_lm.configuration import StateLMConfig
    from workbench.state_lm.modeling import StateLMForCausalLM

    return StateLMForCausalLM(
        StateLMConfig(
            vocab_size=VOCABULARY,
            hidden_size=_WIDTH,
            intermediate_size=_MLP,
            num_hidden_layers=2,
            key_dim=key_dim,
            value_dim=16,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
        )
    )


def state_bytes(key_dim: int) -> int:
    """Of one layer, float32."""
    return key_dim * 16 * 4


def train(
    tasks: int,
    key_dim: int,
    seed: int,
    steps: int,
    report: Callable[[float], None] = lambda share: None,
    within: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> TaskTraining:
    """Train one model and ask it for what it knows by heart and what it can look up.

    Args:
        tasks: 0 is a new one for every row.
        within: what the training runs in.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make_model(key_dim)
    own = draw_tasks(tasks or 1, generator)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=0.1)
    shown = 2
    with within():
        for step in range(steps):
            pool = own if tasks else draw_tasks(_ROWS, generator)
            ids, answers, where = rows(pool, _ROWS, shown, generator)
            for group in optimizer.param_groups:
                left = (1 - step / steps) / 0.3
                group["lr"] = _RATE * min(1.0, (step + 1) / _WARMUP, left)
            logits = model(input_ids=ids, use_cache=False).logits[:, where]
            # Of new tasks no key that is not shown can be known: only the shown ones are taught.
            known = slice(None) if tasks else slice(0, shown)
            loss = torch.nn.functional.cross_entropy(
                logits[:, known].flatten(0, 1), answers[:, known].flatten()
            )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            right = (logits.argmax(-1) == answers)[:, :shown].float().mean()
            # Rows of few pairs first: without them nothing is looked up after as many steps.
            if shown < SHOWN and (float(right) > 0.8 or step > steps * shown / (2 * SHOWN)):
                shown += 1
            report(step / steps)
        return _measured(model.eval(), own if tasks else None, key_dim, seed, generator)


@torch.no_grad()
def _measured(
    model: Any, own: torch.Tensor | None, key_dim: int, seed: int, generator: torch.Generator
) -> TaskTraining:
    def right(tasks: torch.Tensor) -> torch.Tensor:
        ids, answers, where = rows(tasks, _MEASURED, SHOWN, generator)
        found = model(input_ids=ids, use_cache=False).logits[:, where].argmax(-1) == answers
        shares: torch.Tensor = found.float().mean(0)
        return shares

    new = right(draw_tasks(_MEASURED, generator))
    seen = new if own is None else right(own)
    return TaskTraining(
        0 if own is None else len(own),
        key_dim,
        seed,
        float(new[:SHOWN].mean()),
        float(seen[SHOWN:].mean()),
        float(seen[:SHOWN].mean()),
    )
