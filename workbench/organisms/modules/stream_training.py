"""Training a model to keep up with a stream of updates, and measuring how well it does.

Without a loss that shares writes out over the slots all keys fall into two of them within 100
steps, and a third of the questions is answered: the newest values. Streams begin with 12 events and
grow by 6 once 80 % of the questions are answered.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from workbench.organisms.modules import update_stream
from workbench.organisms.modules.families import ModuleFamily
from workbench.progress import Progress

if TYPE_CHECKING:
    import torch

ROWS, WARMUP, BALANCE = 48, 50, 0.3
FEWEST_EVENTS, MORE_EVENTS, PASSES_AT = 12, 6, 0.8
MEASURED = 256
"""Streams that recall is measured on."""


def train_stream(family: ModuleFamily, seed: int, progress: Progress) -> Any:
    """From nothing; the same numbers from the same seed on the same processor.

    Raises:
        Cancelled: from `progress`.
    """
    import torch
    from torch.nn.functional import cross_entropy

    from workbench.memory_lm.gated_slots import SlotCell

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = family.make()
    (cell,) = [module for module in model.modules() if isinstance(module, SlotCell)]
    firsts: list[torch.Tensor] = []
    handle = cell.register_forward_pre_hook(lambda _, args: firsts.append(args[0][:, 0]))
    optimizer = torch.optim.AdamW(model.parameters(), lr=family.rate, weight_decay=0.01)
    draw = torch.Generator().manual_seed(seed)
    events, average = FEWEST_EVENTS, 0.0
    for step in range(family.steps):
        stream = update_stream.make(ROWS, draw, events)
        share = min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * step / family.steps))
        for group in optimizer.param_groups:
            group["lr"] = family.rate * share
        firsts.clear()
        logits, answers = _at_questions(model, stream)
        chosen = cell.chosen(torch.stack(firsts, 1)[~stream.asks]).mean(0)
        loss = cross_entropy(logits, answers)
        (loss + BALANCE * len(chosen) * chosen.square().sum()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        right = float((logits.argmax(-1) == answers).float().mean())
        average = 0.9 * average + 0.1 * right
        if average > PASSES_AT and events < update_stream.EVENTS:
            events, average = min(update_stream.EVENTS, events + MORE_EVENTS), 0.5
        says = f"step {step} of {family.steps}, {events} events, loss {loss.item():.2f}"
        progress(step / family.steps, says)
    handle.remove()
    return model.eval()


def stream_recall(model: Any, seed: int) -> float:
    """Share of the questions of whole streams that are answered."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        logits, answers = _at_questions(model, update_stream.make(MEASURED, draw))
    return float((logits.argmax(-1) == answers).float().mean())


def _at_questions(model: Any, stream: update_stream.Stream) -> tuple[torch.Tensor, torch.Tensor]:
    """(logits at the questions, answers)."""
    labels = stream.labels
    asked = labels != update_stream.NOT_ASKED
    logits = model(input_ids=stream.ids, use_cache=False).logits
    return logits[asked], labels[asked]
