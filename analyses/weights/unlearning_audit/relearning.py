"""Relearning: how soon training on other texts brings forgotten ones back.

Sources: "Do unlearning methods remove information" (2410.08827), benign relearning (2406.13356).
A model that never read a text learns nothing of it from others; one in which it is only hidden says
it again after a few steps. Both are trained alike, and what counts is the difference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from analyses.weights.unlearning_audit.block_weights import block_matrices, put_back
from analyses.weights.unlearning_audit.memorized import scores
from hooks.eager_eval import steady
from hooks.unlearning.texts import Text, nats
from hooks.weights import requires_grad
from workbench.errors import BadInput
from workbench.progress import Progress
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel

STEPS = (0, 1, 2, 4, 8, 16, 32)
"""After which the held-out texts are scored."""
BATCH = 8
"""Texts of one step."""


@ordinary
def relearn(
    model: InstrumentedModel,
    texts: Sequence[Text],
    held_out: Sequence[Text],
    rate: float,
    steps: Sequence[int] = STEPS,
    seed: int = 0,
    progress: Progress | None = None,
    at_start: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Train every matrix of the layers on some texts, and score others on the way. The weights are
    put back bit for bit.

    Adam on the mean nats per token of a batch of `BATCH` texts, taken in a random order again and
    again. A step moves a weight by about `rate` standard deviations of its matrix.

    Args:
        texts: those trained on: some of the forgotten ones, related ones, or others.
        held_out: those scored.
        steps: after how many steps; the largest is where training ends.
        at_start: `memorized.scores` of the held-out texts at step 0, where they are known already.

    Returns:
        A row per step and held-out text: `step`, and the columns of `memorized.scores`.

    Raises:
        BadInput: no texts, a held-out text among those trained on, or no step to score.
        Unfit: quantized or offloaded weights.
    """
    _check(texts, held_out, rate, steps)
    progress = progress or Progress()
    wanted, most = sorted(set(steps)), max(steps)
    parameters = [model.module.get_parameter(m.name) for m in block_matrices(model)]
    batches = _batches(len(texts), seed)
    tables = []
    with steady(model.module), requires_grad(parameters), put_back(parameters) as before:
        train = _Adam(parameters, before, rate)
        for step in range(most + 1):
            if step:
                progress((step - 1) / max(1, most), f"Relearning, step {step} of {most}")
                train(_gradients(model, [texts[i] for i in next(batches)], parameters))
            if step in wanted:
                known = at_start if step == 0 else None
                table = scores(model, held_out) if known is None else known
                tables.append(table.assign(step=step))
    table = pd.concat(tables, ignore_index=True)
    return table[["step", *(column for column in table if column != "step")]]


class _Adam:
    """Adam with a rate of each matrix's own; what it adds is kept in float32 beside the weights."""

    def __init__(self, parameters: Sequence[Tensor], starts: Sequence[Tensor], rate: float) -> None:
        self._parameters, self._starts = parameters, starts
        self._moves = [
            torch.nn.Parameter(torch.zeros_like(start, dtype=torch.float32)) for start in starts
        ]
        self._adam = torch.optim.Adam(
            {"params": [move], "lr": rate * float(start.float().std())}
            for move, start in zip(self._moves, starts, strict=True)
        )

    def __call__(self, gradients: Sequence[Tensor]) -> None:
        for move, gradient in zip(self._moves, gradients, strict=True):
            move.grad = gradient.float()
        self._adam.step()
        with torch.no_grad():
            for p, start, move in zip(self._parameters, self._starts, self._moves, strict=True):
                p.copy_(start.float() + move)


def _gradients(
    model: InstrumentedModel, texts: Sequence[Text], parameters: Sequence[Tensor]
) -> list[Tensor]:
    """Of the mean nats per token; zeros where a matrix has no part in it (an expert not asked)."""
    totals = [torch.zeros_like(p, dtype=torch.float32) for p in parameters]
    for chosen in model.batch_indices([len(t.ids) for t in texts], len(texts)):
        with torch.enable_grad():
            loss = nats(model, [texts[i] for i in chosen]).sum() / len(texts)
        found = torch.autograd.grad(loss, list(parameters), allow_unused=True)
        for total, gradient in zip(totals, found, strict=True):
            if gradient is not None:
                total += gradient
    return totals


def _batches(count: int, seed: int) -> Iterator[list[int]]:
    """Places of texts: all of them in a random order, and again in another."""
    draw = np.random.default_rng(seed)
    waiting: list[int] = []
    while True:
        while len(waiting) < min(BATCH, count):
            waiting += draw.permutation(count).tolist()
        yield waiting[:BATCH]
        del waiting[:BATCH]


def _check(
    texts: Sequence[Text], held_out: Sequence[Text], rate: float, steps: Sequence[int]
) -> None:
    if not texts or not held_out:
        raise BadInput(
            f"{len(texts)} texts to train on and {len(held_out)} held out say nothing of"
            " relearning.",
            "one or more of each",
            "Give some.",
        )
    if not rate > 0 or not steps or min(steps) < 0:
        raise BadInput(
            f"Nothing is trained at a rate of {rate:g} over the steps {list(steps)}.",
            "a rate above 0, and steps of 0 or more",
            "Raise them.",
        )
    trained = {text.ids for text in texts}
    if any(text.ids in trained for text in held_out):
        raise BadInput(
            "A held-out text is among those trained on.",
            "texts of which the training says nothing",
            "Leave it out on one side.",
        )


def steps_to_half(rows: pd.DataFrame, before: float, original: float) -> float:
    """After how many steps half of what unlearning took is back, between two scored steps by a
    straight line; inf if it never is, NaN where nothing was taken.

    Args:
        rows: of `relearn`.
        before: exact memorization of the unlearned model, mean over the held-out texts. The
            reference's rows are asked with the same number: both are to reach the same level.
        original: of the original model.
    """
    if not original > before:
        return math.nan
    level = (before + original) / 2
    curve = rows.groupby("step")["exact_memorization"].mean()
    steps, values = curve.index.to_numpy(float), curve.to_numpy(float)
    at = next((n for n, value in enumerate(values) if value >= level), None)
    if at is None:
        return math.inf
    if at == 0:
        return float(steps[0])
    share = (level - values[at - 1]) / (values[at] - values[at - 1])
    return float(steps[at - 1] + share * (steps[at] - steps[at - 1]))


def excess_area(rows: pd.DataFrame, reference: pd.DataFrame) -> float:
    """How much more is said than by a reference that was trained alike: the area between the two
    curves of exact memorization over ln(1 + step), as a share of the axis. 0 where training brings
    nothing back that the reference does not learn as well.

    Raises:
        BadInput: the two were not scored after the same steps.
    """
    curves = [table.groupby("step")["exact_memorization"].mean() for table in (rows, reference)]
    if len(curves[0]) < 2 or not curves[0].index.equals(curves[1].index):
        raise BadInput(
            "The two were not scored after the same steps.",
            "two or more steps, the same of both",
            "Train both alike.",
        )
    axis = np.log1p(curves[0].index.to_numpy(float))
    apart = curves[0].to_numpy(float) - curves[1].to_numpy(float)
    return float(np.trapezoid(apart, axis) / (axis[-1] - axis[0]))
