"""Estimates of other orders from the reference run alone: by expanded gradients, and by rivals."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from analyses.training.training_order import constants as c
from analyses.training.training_order.blocks import half
from hooks.gradients.flat_weights import slope
from hooks.gradients.other_orders import AdamRule, AdamWalk, Expansion, Loss, estimate

if TYPE_CHECKING:
    from jaxtyping import Float

    from analyses.measures.order_permutations import Order
    from analyses.training.training_order.params import Params
    from analyses.training.training_order.trainee import Trainee
    from workbench.progress import Progress


@dataclass
class Estimates:
    """What one run says of other orders.

    Attributes:
        weights: by expansion, at the end of each order.
        tracin: what a block does to a target by being read at a position, in nats, (kind, target,
            block, position): negative lowers the target's loss.
        seconds: what each took, all orders together.
    """

    weights: dict[str, list[torch.Tensor]]
    tracin: Float[np.ndarray, "kind target block position"]
    seconds: dict[str, float] = field(default_factory=dict)


def estimated(
    trainee: Trainee,
    path: Sequence[torch.Tensor],
    orders: Sequence[Order],
    params: Params,
    progress: Progress,
) -> Estimates:
    """All that is predicted from the reference run.

    Raises:
        NotFinite: an estimate went astray.
        Cancelled: from `progress`.
    """
    read = trainee.reading
    batches, rule = read.batches, AdamRule(trainee.rates)
    numbers = [read.numbers(order) for order in orders]
    seconds: dict[str, float] = {}

    def loss(weights: torch.Tensor, batch: int) -> torch.Tensor:
        return trainee.flat.loss(weights, batches[batch])

    begun = time.perf_counter()
    tracin = _tracin(trainee, path, rule, progress.subprogress(0.0, 0.1))
    seconds[c.TRACIN] = time.perf_counter() - begun
    expansions = {c.FIRST: Expansion(), c.ZEROTH: Expansion(hessian=False)}
    further = _further(orders, params) if params.directions else []
    if further:
        begun = time.perf_counter()
        basis = _basis(
            loss, path, [read.numbers(order) for order in further], rule, params.directions,
            progress.subprogress(0.1, 0.25),
        )  # fmt: skip
        expansions[c.STORED] = Expansion(basis=basis)
        seconds[c.DIRECTIONS] = time.perf_counter() - begun
    begun = time.perf_counter()
    found = estimate(loss, path, numbers, rule, expansions, progress.subprogress(0.25, 1.0))
    seconds[c.ESTIMATING] = time.perf_counter() - begun
    return Estimates(found, tracin, seconds)


def _further(orders: Sequence[Order], params: Params) -> list[Order]:
    """Orders by lot, none of which is tested; none where a few blocks have no others."""
    draw = random.Random(f"{params.seed} further orders")
    blocks = range(len(orders[0]))
    drawn = [tuple(draw.sample(blocks, len(blocks))) for _ in range(c.EXTRA_ORDERS)]
    return [order for order in drawn if order not in set(orders) | {tuple(blocks)}]


def _basis(
    loss: Loss,
    path: Sequence[torch.Tensor],
    numbers: Sequence[Sequence[int]],
    rule: AdamRule,
    most: int,
    progress: Progress,
) -> list[torch.Tensor]:
    """Per step, at most so many leading directions in which further orders lie away from the
    reference, as their gradients alone say.
    """
    found: list[torch.Tensor] = []

    def directions(step: int, walks: Mapping[str, Sequence[AdamWalk]]) -> None:
        away = torch.stack([walk.weights - path[step] for walk in walks[c.ZEROTH]])
        # Of few long vectors: their own products are enough.
        values, mixed = torch.linalg.eigh((away @ away.T).double())
        keep = [k for k in range(len(values) - 1, -1, -1) if values[k] > 1e-9 * values[-1]]
        keep = keep[:most] if values[-1] > 0 else []
        rows = (mixed[:, keep] / values[keep].sqrt()).T.to(away.dtype) @ away
        found.append(rows)

    expansions = {c.ZEROTH: Expansion(hessian=False)}
    estimate(loss, path, numbers, rule, expansions, progress, directions)
    return found


def _tracin(
    trainee: Trainee, path: Sequence[torch.Tensor], rule: AdamRule, progress: Progress
) -> np.ndarray:
    """TracIn (Pruthi et al. 2020) with Adam's scale: at the weights before each position, the
    product of a target's gradient with what reading a block there would change.
    """
    read, flat = trainee.reading, trainee.flat
    lead, each, n = len(read.lead), trainee.params.steps, len(read.blocks)
    found = np.zeros((2, n, n, n))
    walk = AdamWalk(rule, path[0])
    own = read.numbers(range(n))
    batches = read.batches
    for step, at in enumerate(path):
        position, inside = divmod(step - lead, each)
        if inside or not 0 <= position < n:
            walk.update(flat.gradient(at, batches[own[step]]))
            continue
        read_here = [flat.gradient(at, block.read) for block in read.blocks]
        walk.update(read_here[position])
        moved = torch.stack([_moved(walk, g, rule, step, each) for g in read_here])
        targets = [
            torch.stack([flat.gradient(at, block.rows) for block in read.blocks]),
            torch.stack(
                [
                    slope(
                        lambda w, block=block: flat.loss(  # type: ignore[misc]
                            w, [block.sentence], [half(block.sentence)]
                        ),
                        at,
                    )
                    for block in read.blocks
                ]
            ),
        ]
        for kind, target in enumerate(targets):
            found[kind, :, :, position] = -(target @ moved.T).double().cpu().numpy()
        progress((position + 1) / n, f"Influence at position {position + 1} of {n}")
    return found


def _moved(
    walk: AdamWalk, gradient: torch.Tensor, rule: AdamRule, step: int, times: int
) -> torch.Tensor:
    """How far so many updates by one gradient move, as Adam scales them: what was never touched
    before is scaled by the gradient itself.
    """
    keeps = rule.betas[1] ** times
    squares = (walk.scale() - rule.epsilon).square() * keeps + gradient.square() * (1 - keeps)
    return gradient / (squares.sqrt() + rule.epsilon) * (rule.rates[step] * times)
