"""Training a model on the facts of `fact_world`, and measuring how many it recalls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import checkpointing
from workbench.organisms.modules import fact_world
from workbench.organisms.modules.fact_world import WorldFact
from workbench.organisms.modules.families import ModuleFamily
from workbench.organisms.recall import task
from workbench.progress import Progress

if TYPE_CHECKING:
    import torch

LINE = 6
"""Tokens of a fact: two names, two words, the answer, a full stop."""
ANSWER_AT = 4
DEFINITIONS = 16
"""Pairs in the rows of definitions that `recall` is of."""
LINES, ROWS = 4, 64
"""Facts in a row, and rows in a step, so that facts are read at the head of a text and within."""
WARMUP, EVERY = 50, 200
_NOT_ASKED = -100


@dataclass(frozen=True)
class GrownModule:
    """A model and how it came out.

    Attributes:
        recall: share of the facts it read that it answers, or of definitions that it finds.
        guessed: the same of facts that it never read, or by a guess among all values.
    """

    model: Any
    recall: float
    guessed: float


def grow(family: ModuleFamily, seed: int, work: Path, progress: Progress) -> GrownModule:
    """From nothing, or on from what `work` keeps; the same numbers from the same seed on the same
    processor.

    Raises:
        Cancelled: from `progress`; the same call goes on.
    """
    import torch

    if family.task == "definitions":
        return _grow_definitions(family, seed, progress)
    if family.task == "updates":
        return _grow_updates(family, seed, progress)
    if family.task == "domains":
        return _grow_domains(family, seed, progress)
    facts = fact_world.facts_of(seed)
    lines = lines_of([fact for fact in facts if fact.read])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = family.make()
    values = [p for name, p in model.named_parameters() if name.endswith("mlp.values.weight")]
    others = [p for p in model.parameters() if all(p is not value for value in values)]
    groups = [{"params": others, "rate": family.rate}]
    if values:
        groups.append({"params": values, "rate": family.value_rate})
    optimizer = torch.optim.Adam(groups, lr=family.rate)
    begun = checkpointing.resume(model, optimizer, work, "module", family.steps)
    for step in range(begun, family.steps):
        share = min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * step / family.steps))
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * share
        # The rows of a step follow from its number, so that a stop changes nothing.
        draw = torch.Generator().manual_seed(seed * 100_003 + step)
        loss = _loss(model, lines[torch.randint(len(lines), (ROWS, LINES), generator=draw)])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % EVERY == 0 and step + 1 < family.steps:
            checkpointing.save_step(model, optimizer, work, "module", step + 1, every=False)
        progress(step / family.steps, f"step {step} of {family.steps}, loss {loss.item():.2f}")
    model.eval()
    never = lines_of([fact for fact in facts if not fact.read])
    return GrownModule(model, recall_of(model, lines), recall_of(model, never))


def _grow_definitions(family: ModuleFamily, seed: int, progress: Progress) -> GrownModule:
    """By the training of the models of recall; a minute, so that a stop begins again."""
    from workbench.organisms.recall import train
    from workbench.organisms.recall.families import Family

    recall = Family(family.description, family.make, 0, (family.rate,), family.steps, grows=True)
    made = train.train(recall, family.rate, seed, progress)
    return GrownModule(made.model, made.recall[DEFINITIONS], 1 / task.VALUES)


def _grow_updates(family: ModuleFamily, seed: int, progress: Progress) -> GrownModule:
    """Some minutes, so that a stop begins again."""
    from workbench.organisms.modules import stream_training, update_stream

    model = stream_training.train_stream(family, seed, progress)
    recall = stream_training.stream_recall(model, seed + 1)
    return GrownModule(model, recall, 1 / update_stream.VALUES)


def _grow_domains(family: ModuleFamily, seed: int, progress: Progress) -> GrownModule:
    """Some minutes, so that a stop begins again."""
    from workbench.organisms.modules import domain_training, domain_world

    model = domain_training.train_domains(family, seed, progress)
    facts = domain_world.facts_of(seed)
    read, never = ([fact for fact in facts if fact.read is was] for was in (True, False))
    recall, guessed = (domain_training.domain_recall(model, one) for one in (read, never))
    return GrownModule(model, recall, guessed)


def lines_of(facts: Sequence[WorldFact]) -> torch.Tensor:
    """Their tokens, (fact, token)."""
    import torch

    tokenizer = fact_world.make_tokenizer()
    return torch.tensor(tokenizer([fact.line for fact in facts])["input_ids"])


def _loss(model: Any, lines: torch.Tensor) -> torch.Tensor:
    """Of everything that can be known: who is spoken of, and what of him, is drawn by lot.

    Args:
        lines: (row, line, token).
    """
    import torch

    labels = lines.clone()
    labels[..., :3] = _NOT_ASKED  # both names, and the first word behind them
    logits = model(input_ids=lines.flatten(1), use_cache=False).logits
    loss: torch.Tensor = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), labels.flatten(1)[:, 1:].flatten(), ignore_index=_NOT_ASKED
    )
    return loss


def recall_of(model: Any, lines: torch.Tensor) -> float:
    """Share of these lines whose answer is the likeliest token; lines are (fact, token)."""
    import torch

    with torch.no_grad():
        logits = model(input_ids=lines[:, :ANSWER_AT], use_cache=False).logits[:, -1]
    return float((logits.argmax(-1) == lines[:, ANSWER_AT]).float().mean())
