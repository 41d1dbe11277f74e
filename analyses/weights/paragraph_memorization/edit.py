"""Changing a passage where it is stored: unlearning it or rewriting it with a thousandth of the
weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.weights.paragraph_memorization.constants import Aim, Mask
from analyses.weights.paragraph_memorization.groups import Passage, greedy_match
from hooks.gradients.weights import weights
from hooks.weights import requires_grad
from workbench.models.weight_delta import Delta
from workbench.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel

Pair = tuple[Sequence[int], Sequence[int]]
RATES = (0.003, 0.01, 0.03, 0.1)
"""Sizes of a step that are tried, in standard deviations of a matrix."""
DONE = 0.25
"""Share of the suffix: a passage of which no more is said counts as unlearned, and the updates
stop.
"""


@dataclass
class Weights:
    """The matrices of a model's layers as one long row of numbers, of which some may be changed.

    Embeddings, unembedding, norms and biases are left alone (Stoehr et al. 2024).
    """

    model: InstrumentedModel
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.names = list(dict.fromkeys(w.parameter for w in weights(self.model)))

    @property
    def parameters(self) -> list[Tensor]:
        return [self.model.module.get_parameter(name) for name in self.names]

    @property
    def total(self) -> int:
        return sum(p.numel() for p in self.parameters)

    def top(self, sizes_: Sequence[Tensor], fraction: float) -> list[Tensor]:
        """The places with the largest sizes of all matrices together, as flat indices for each."""
        count = max(1, round(self.total * fraction))
        sizes = torch.cat(
            [g.flatten().to(sizes_[0].device) for g in sizes_]
        )  # layers may lie on several devices
        # Of equals the first, so that the count is exact.
        chosen = sizes.topk(count).indices.sort().values
        found, start = [], 0
        for g in sizes_:
            found.append(
                (chosen[(chosen >= start) & (chosen < start + g.numel())] - start).to(g.device)
            )
            start += g.numel()
        return found

    def random(self, like: Sequence[Tensor], seed: int) -> list[Tensor]:
        """As many places in every matrix, drawn at random: the same size and the same spread
        over layers.
        """
        draw = torch.Generator().manual_seed(seed)
        return [
            torch.randperm(p.numel(), generator=draw)[: len(index)].sort().values.to(p.device)
            for p, index in zip(self.parameters, like, strict=True)
        ]

    def all(self) -> list[Tensor]:
        return [torch.arange(p.numel(), device=p.device) for p in self.parameters]


@dataclass(frozen=True)
class Task:
    """What is to be changed, and what is to stay.

    Attributes:
        passage: the one to change.
        aim: "unlearn" raises its loss; "rewrite" lowers that of `instead`, after the same prefix.
        instead: what is to be said in its place, as many tokens; empty when unlearning.
        keep: what the model says of these (prompt, suffix) is held, by the KL divergence from what
            it said before.
        held_out: other memorized passages, as (prompt, suffix), that the updates do not see.
        neutral: prose whose loss says what the change costs.
    """

    passage: Passage
    aim: Aim
    instead: Sequence[int]
    keep: Sequence[Pair]
    held_out: Sequence[Pair]
    neutral: Sequence[Pair]


@dataclass(frozen=True)
class Outcome:
    """What the updates did; the model itself is as it was.

    Attributes:
        row: one row of the table `weight_edits`.
        curve: after each step how much of the passage is reproduced, and of `instead`.
        delta: the change itself.
    """

    row: dict[str, Any]
    curve: list[dict[str, Any]]
    delta: Delta


def tune_rate(
    weights_: Weights,
    task: Task,
    mask: Mask,
    fraction: float,
    rates: Sequence[float],
    steps: int,
    seed: int,
    at_least: int = 0,
    progress: Progress | None = None,
) -> Outcome:
    """`carry_out` with the smallest of the rates that does it, or else the largest: the same
    procedure for every mask.

    How far weights may move before a model breaks differs between models by an order of magnitude,
    and between masks: a rate found for one of them would favour it.
    """
    progress = progress or Progress()
    for n, rate in enumerate(rates):
        part = progress.subprogress(n / len(rates), (n + 1) / len(rates))
        outcome = apply_edit(weights_, task, mask, fraction, rate, steps, seed, at_least, part)
        if outcome.row["succeeded"]:
            break
    return outcome


def apply_edit(
    weights_: Weights,
    task: Task,
    mask: Mask,
    fraction: float,
    rate: float,
    steps: int,
    seed: int,
    at_least: int = 0,
    progress: Callable[[float, str], None] = lambda fraction, says: None,
) -> Outcome:
    """Update the masked weights until the task is done, measure, and put everything back.

    The objective is w NLL(passage) with w = -1, or + NLL(instead), plus the KL divergence from the
    untouched model on `keep`, mean over its passages and summed over positions. Before the first
    step the divergence is flat, and its gradient zero. Adam moves each weight by at most about the
    rate times the spread of its matrix, without decay; with all weights the rate is smaller by
    √fraction, so that a step is as long in all.

    Args:
        mask: "gradient", the largest absolute gradients of the NLL (Stoehr et al. 2024);
            "contrast", the largest excess of those over the root mean square of the gradients of
            the passages to keep; "random", as many in each matrix as "contrast" has; or "all".
        at_least: go on so long even when it is done: a control takes as many steps as what it is
            compared with.
    """
    model, parameters = weights_.model, weights_.parameters
    prompt, suffix = task.passage.prompt, task.passage.suffix
    aim, sign = (suffix, -1.0) if task.aim == "unlearn" else (list(task.instead), 1.0)
    before = {
        "match": greedy_match(model, [(prompt, aim)])[0][0],
        "neutral": greedy_match(model, task.neutral)[1].mean(),
    }
    others_before = greedy_match(model, task.held_out)[0]
    reference = _log_p(model, task.keep)
    with requires_grad(parameters):
        places = _places(weights_, task, aim, mask, fraction, seed)
        old = [p.detach().view(-1)[i].clone() for p, i in zip(parameters, places, strict=True)]
        moves = [
            torch.nn.Parameter(torch.zeros(len(i), dtype=torch.float32, device=p.device))
            for p, i in zip(parameters, places, strict=True)
        ]
        step_size = rate * (fraction**0.5 if mask == "all" else 1.0)
        groups = [
            {"params": [m], "lr": step_size * float(p.detach().float().std())}
            for m, p in zip(moves, parameters, strict=True)
        ]
        adam = torch.optim.Adam(groups)
        curve: list[dict[str, Any]] = []
        try:
            for step in range(1, steps + 1):
                progress(
                    (step - 1) / steps,
                    f"{task.aim}: {task.passage.name[:40]}, mask {mask}, step {step} of {steps}",
                )
                objective = sign * _nll(model, prompt, aim) + _divergence(
                    model, task.keep, reference
                )
                for move, place, g in zip(
                    moves, places, torch.autograd.grad(objective, parameters), strict=True
                ):
                    move.grad = g.view(-1)[place].float()
                adam.step()
                with torch.no_grad():
                    for p, place, start, move in zip(parameters, places, old, moves, strict=True):
                        p.view(-1)[place] = (start.float() + move).to(p.dtype)
                matches = greedy_match(model, [(prompt, suffix), (prompt, aim)])[0]
                curve.append(
                    {
                        "step": step,
                        "prefix_match": int(matches[0]),
                        "rewrite_match": int(matches[1]),
                    }
                )
                if step >= at_least and _done(task, matches, len(suffix)):
                    break
            row = _measured(model, task, mask, before, others_before, curve, at_least)
            row |= {"learning_rate": rate, "n_weights": sum(map(len, places))}
            delta = Delta(
                model.card.weight_hash,
                f"{task.aim} {task.passage.name}",
                {n: i.cpu().numpy() for n, i in zip(weights_.names, places, strict=True)},
                {
                    n: p.detach().view(-1)[i].float().cpu().numpy()
                    for n, p, i in zip(weights_.names, parameters, places, strict=True)
                },
            )
        finally:
            with torch.no_grad():
                for p, place, start in zip(parameters, places, old, strict=True):
                    p.view(-1)[place] = start
    return Outcome(row, curve, delta)


def _places(
    weights_: Weights, task: Task, aim: Sequence[int], mask: Mask, fraction: float, seed: int
) -> list[Tensor]:
    """Which weights may change, as flat indices for each matrix."""
    if mask == "all":
        return weights_.all()
    parameters = weights_.parameters
    sizes = [
        g.abs()
        for g in torch.autograd.grad(_nll(weights_.model, task.passage.prompt, aim), parameters)
    ]
    if mask == "gradient":
        return weights_.top(sizes, fraction)
    typical = [torch.zeros_like(size) for size in sizes]
    for prompt, suffix in task.keep:
        for square, g in zip(
            typical,
            torch.autograd.grad(_nll(weights_.model, prompt, suffix), parameters),
            strict=True,
        ):
            square += g.square() / len(task.keep)
    places = weights_.top(
        [(size - square.sqrt()).clamp(min=0) for size, square in zip(sizes, typical, strict=True)],
        fraction,
    )
    return weights_.random(places, seed) if mask == "random" else places


def _done(task: Task, said: np.ndarray, length: int) -> bool:
    return bool(said[0] <= DONE * length) if task.aim == "unlearn" else bool(said[1] == length)


def _measured(
    model: InstrumentedModel,
    task: Task,
    mask: Mask,
    before: Mapping[str, float],
    others_before: np.ndarray,
    curve: Sequence[Mapping[str, Any]],
    at_least: int,
) -> dict[str, Any]:
    length = len(task.passage.suffix)
    others = greedy_match(model, task.held_out)[0]
    retained = others.sum() / max(1, others_before.sum())
    last, rewrites = curve[-1], task.aim == "rewrite"
    compared = curve[min(at_least or len(curve), len(curve)) - 1]
    return {
        "passage": task.passage.number,
        "name": task.passage.name,
        "aim": task.aim,
        "mask": mask,
        "steps": len(curve),
        "succeeded": _done(task, np.array([last["prefix_match"], last["rewrite_match"]]), length),
        "prefix_match_before": task.passage.match,
        "prefix_match": int(last["prefix_match"]),
        "prefix_match_same_steps": int(compared["prefix_match"]),
        "rewrite_match_before": int(before["match"]) if rewrites else float("nan"),
        "rewrite_match": int(last["rewrite_match"]) if rewrites else float("nan"),
        "rewrite_match_same_steps": int(compared["rewrite_match"]) if rewrites else float("nan"),
        "n_others": len(task.held_out),
        "others_retained": float(retained) if len(others) else float("nan"),
        "others_min_prefix_match": int(others.min()) if len(others) else float("nan"),
        "neutral_loss_before": float(before["neutral"]),
        "neutral_loss": float(greedy_match(model, task.neutral)[1].mean()),
    }


def _nll(model: InstrumentedModel, prompt: Sequence[int], suffix: Sequence[int]) -> Tensor:
    """Mean over the suffix, nats per token, ()."""
    ids = torch.tensor([[*prompt, *suffix]], device=model.device)
    with torch.enable_grad():
        logits = model.forward(
            input_ids=ids[:, :-1], logits_to_keep=len(suffix), use_cache=False
        ).logits.float()
        return torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), ids[:, -len(suffix) :].flatten()
        )


def _groups(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Pairs of one shape together, since not every family may read padding."""
    by_shape: dict[tuple[int, int], list[Pair]] = {}
    for prompt, suffix in pairs:
        by_shape.setdefault((len(prompt), len(suffix)), []).append((prompt, suffix))
    return list(by_shape.values())


def _forward(model: InstrumentedModel, pairs: Sequence[Pair]) -> Tensor:
    ids = torch.tensor([[*prompt, *suffix[:-1]] for prompt, suffix in pairs], device=model.device)
    logits = model.forward(input_ids=ids, logits_to_keep=len(pairs[0][1]), use_cache=False).logits
    return torch.log_softmax(logits.float(), -1)


@torch.no_grad()
def _log_p(model: InstrumentedModel, keep: Sequence[Pair]) -> list[Tensor]:
    """ln p of every next token over the suffixes, as the model has it now; one tensor per shape."""
    return [_forward(model, pairs) for pairs in _groups(keep)]


def _divergence(
    model: InstrumentedModel, keep: Sequence[Pair], reference: Sequence[Tensor]
) -> Tensor:
    """KL(before ‖ now), summed over positions and vocabulary, mean over passages, nats."""
    with torch.enable_grad():
        parts = [
            (before.exp() * (before - _forward(model, pairs))).sum()
            for pairs, before in zip(_groups(keep), reference, strict=True)
        ]
        return torch.stack(parts).sum() / max(1, len(keep))
