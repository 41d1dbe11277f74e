"""Preference tuning: of two answers the chosen one becomes likelier against the rejected one, held
near the model as it was (DPO, Rafailov et al. 2023, 2305.18290).

Loss of a pair: -ln sigmoid(beta [(ln p(chosen) - ln p0(chosen)) - (ln p(rejected) -
ln p0(rejected))]), where p0 is the model before the first update. Its log-probabilities are
computed once, so no second model is held.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput, NotFinite
from workbench.lab.stages import StepReport
from workbench.lab.training import padded
from workbench.progress import Progress
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    import torch


_REFERENCE = 0.1
"""Share of the progress that the model's own log-probabilities take."""


@dataclass(frozen=True)
class PreferencePair:
    """A prompt and two answers to it, as token ids; the beginning token is part of the prompt."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]


@dataclass(frozen=True)
class PreferenceStage:
    """A stage of preference tuning, with the lab's optimizer (see `Stage`).

    Attributes:
        steps: the pairs of every update.
        beta: how strongly the model is held near what it was; small is loosely.
    """

    name: str
    steps: Sequence[Sequence[PreferencePair]]
    rate: float
    beta: float = 0.1
    warmup: int = 0


@dataclass(frozen=True)
class PreferenceLog:
    """What happened, update by update.

    Attributes:
        losses: before each update; ln 2 at the first.
        margins: mean of beta times the bracket above: the implicit reward of the chosen answer less
            that of the rejected one.
        preferred: share of pairs whose margin is above 0.
    """

    losses: tuple[float, ...]
    margins: tuple[float, ...]
    preferred: tuple[float, ...]


@ordinary
def prefer(
    module: Any,
    stage: PreferenceStage,
    *,
    on_step: Callable[[StepReport], None] | None = None,
    progress: Progress | None = None,
) -> PreferenceLog:
    """Tune a model on preferences; the module itself is changed, and in the mode it came in.

    Dropout is off, so that the model is its own reference at the first update.

    Args:
        on_step: called before the first update and after each, as by `run_stages`.

    Raises:
        BadInput: a pair without prompt or answer, or a number that cannot be.
        NotFinite: the loss or its gradient is no number; says at which step. The weights are then
            those before that step.
        Cancelled: from `progress`.
    """
    import torch

    _check(stage, module.get_input_embeddings().weight.shape[0])
    progress = progress or Progress()
    was_training = module.training
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=stage.rate, betas=(0.9, 0.95), weight_decay=0.0)
    losses, margins, preferred = [], [], []
    module.eval()
    try:
        reference = _reference(module, stage, progress.subprogress(0.0, _REFERENCE))
        progress = progress.subprogress(_REFERENCE, 1.0)
        if on_step is not None:
            on_step(StepReport(stage.name, 0, module, None))
        for step, pairs in enumerate(stage.steps):
            for group in optimizer.param_groups:
                group["lr"] = stage.rate * min(1.0, (step + 1) / max(1, stage.warmup))
            before = torch.stack([reference[pair] for pair in pairs], 1)
            apart = answer_log_probabilities(module, pairs) - before
            margin = stage.beta * (apart[0] - apart[1])
            loss = -torch.nn.functional.logsigmoid(margin).mean()
            _check_finite(loss.item(), "loss", step, stage)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            _check_finite(norm.item(), "gradient", step, stage)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
            margins.append(margin.mean().item())
            preferred.append((margin > 0).double().mean().item())
            if on_step is not None:
                on_step(StepReport(stage.name, step + 1, module, losses[-1]))
            progress(
                (step + 1) / len(stage.steps),
                f"{stage.name}: step {step + 1:,} of {len(stage.steps):,}, loss {losses[-1]:.2f}",
            )
    finally:
        module.zero_grad(set_to_none=True)
        module.train(was_training)
    return PreferenceLog(tuple(losses), tuple(margins), tuple(preferred))


def _reference(
    module: Any, stage: PreferenceStage, progress: Progress
) -> dict[PreferencePair, torch.Tensor]:
    """What the model says before the first update, (2,) of each pair; every pair once, however
    often it is seen.
    """
    import torch

    pairs = list(dict.fromkeys(pair for step in stage.steps for pair in step))
    found: dict[PreferencePair, torch.Tensor] = {}
    size = max(map(len, stage.steps))
    for start in range(0, len(pairs), size):
        progress(start / len(pairs), f"{stage.name}: pair {start + 1:,} of {len(pairs):,} before")
        some = pairs[start : start + size]
        with torch.no_grad():
            found |= dict(zip(some, answer_log_probabilities(module, some).T, strict=True))
    return found


def _check_finite(value: float, what: str, step: int, stage: PreferenceStage) -> None:
    if not math.isfinite(value):
        raise NotFinite(
            f"The {what} is not a finite number at step {step + 1} of stage {stage.name!r}.",
            "a training that stays finite",
            f"Lower its rate ({stage.rate:g}).",
        )


def answer_log_probabilities(module: Any, pairs: Sequence[PreferencePair]) -> torch.Tensor:
    """ln p of each answer given its prompt, (2, pair): chosen, then rejected."""
    rows = [pair.prompt + pair.chosen for pair in pairs]
    rows += [pair.prompt + pair.rejected for pair in pairs]
    froms = [len(pair.prompt) for pair in pairs] * 2
    ids, mask, labels = padded(rows, froms, module.device)
    logits = module(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1].float()
    wanted = labels[:, 1:]
    learned = wanted >= 0
    each = logits.log_softmax(-1).gather(-1, wanted.clamp(min=0)[..., None])[..., 0]
    total: torch.Tensor = (each * learned).sum(-1).view(2, len(pairs))
    return total


def _check(stage: PreferenceStage, n_vocab: int) -> None:
    if not stage.steps or not all(stage.steps):
        raise BadInput(
            f"Stage {stage.name!r} has an update without pairs.",
            "at least one pair for each",
            "Give it pairs.",
        )
    if not 0 < stage.rate <= 1 or not 0 < stage.beta <= 100 or stage.warmup < 0:
        raise BadInput(
            f"Stage {stage.name!r} has the rate {stage.rate:g}, the beta {stage.beta:g} and"
            f" {stage.warmup} steps of warm-up.",
            "a rate and a beta above 0, and no negative numbers",
            "Correct them.",
        )
    for step, pairs in enumerate(stage.steps):
        for pair in pairs:
            ids = (*pair.prompt, *pair.chosen, *pair.rejected)
            if not pair.prompt or not pair.chosen or not pair.rejected:
                raise BadInput(
                    f"Stage {stage.name!r}, step {step + 1}: a pair has no prompt or no answer.",
                    "at least a token of each",
                    "Leave it out.",
                )
            if not 0 <= min(ids) <= max(ids) < n_vocab:
                raise BadInput(
                    f"Stage {stage.name!r}, step {step + 1}: a pair has tokens from {min(ids)} to"
                    f" {max(ids)}.",
                    f"tokens from 0 to {n_vocab - 1}",
                    "Make the pairs with this model's tokenizer.",
                )
