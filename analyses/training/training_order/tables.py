"""What was found, as tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from analyses.measures.order_agreement import agreement, explained
from analyses.measures.order_permutations import distance
from analyses.measures.statistics import mean_interval, spearman
from analyses.training.training_order import constants as c

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Float

    from analyses.measures.order_permutations import Order
    from analyses.training.training_order.blocks import Reading
    from analyses.training.training_order.estimates import Estimates
    from analyses.training.training_order.trainee import Said
    from workbench.result import Result


@dataclass(frozen=True)
class OrderOutcome:
    """All that was measured.

    Attributes:
        before, reference: before the blocks, and after the reference order.
        real: per order, really trained.
        estimated: by expansion, per order.
        weights: really trained ones, per order; `reference_weights` beside.
        again: largest difference of any weight when the reference is trained a second time.
    """

    orders: Mapping[Order, str]
    before: Said
    reference: Said
    real: Sequence[Said]
    estimated: Mapping[str, Sequence[Said]]
    weights: Sequence[torch.Tensor]
    reference_weights: torch.Tensor
    again: float

    @property
    def positions(self) -> np.ndarray:
        """Where each block is read, (order, block)."""
        return np.argsort(np.array(list(self.orders)), axis=1)


def real_changes(found: OrderOutcome) -> Float[np.ndarray, "order kind block"]:
    """Loss under each order less that of the reference, nats per token."""
    losses = np.array([said.loss for said in found.real])
    return np.asarray(losses - found.reference.loss)


def predictions(
    found: OrderOutcome, estimates: Estimates
) -> dict[str, Float[np.ndarray, "order kind block"]]:
    """Predicted changes by predictor; in nats, but for the plain position (in blocks)."""
    real, at = real_changes(found), found.positions
    blocks = at.shape[1]
    first_order = {
        name: np.array([said.loss for said in each]) - found.reference.loss
        for name, each in found.estimated.items()
    }
    reference = np.arange(blocks)
    moved = np.repeat(-(at - reference)[:, None].astype(float), len(c.KINDS), 1)
    alone = len(real) < 2  # then there are no others
    others = (real.sum(0) - real) / (np.nan if alone else len(real) - 1)
    return first_order | {
        c.TRACIN: _by_influence(estimates.tracin, list(found.orders)),
        c.RECENCY: _recency(found, at),
        c.LATER: moved,
        c.OTHERS: others,
        c.MIXED: np.roll(first_order[c.FIRST], 1, 0) * (np.nan if alone else 1.0),
    }


def _by_influence(tracin: np.ndarray, orders: Sequence[Order]) -> np.ndarray:
    at = np.arange(tracin.shape[-1])
    reference = tracin[:, :, at, at].sum(-1)
    return np.array([tracin[:, :, list(order), at].sum(-1) - reference for order in orders])


def _recency(found: OrderOutcome, at: np.ndarray) -> np.ndarray:
    """From the reference alone: what reading brought each block, as a line in the logarithm of how
    many blocks came after it.
    """
    blocks = at.shape[1]
    after = np.log2(1 + np.arange(blocks)[::-1])  # by position
    gains = found.reference.loss - found.before.loss
    slopes = [float(np.polyfit(after, gain, 1)[0]) for gain in gains]
    changed = after[at] - after[np.arange(blocks)]
    return np.stack([slope * changed for slope in slopes], 1)


def add_tables(
    result: Result, found: OrderOutcome, estimates: Estimates, read: Reading, seed: int
) -> None:
    """All tables but that of times."""
    real, predicted = real_changes(found), predictions(found, estimates)
    result.tables["blocks"] = pd.DataFrame(
        [
            {
                "block": n + 1,
                "name": block.name,
                "text": " ".join(block.text.split())[:160],
                "planted": block.planted,
                "before": found.before.loss[0, n],
                "loss": found.reference.loss[0, n],
                "planted_before": found.before.loss[1, n],
                "planted_loss": found.reference.loss[1, n],
                "right": found.reference.right[n],
                "twin_loss": found.reference.twins[0][n],
                "twin_right": found.reference.twins[1][n],
            }
            for n, block in enumerate(read.blocks)
        ]
    )
    result.tables["changes"] = _changes(found, real, predicted)
    result.tables["orders"] = _orders(found, real, predicted)
    result.tables["predictors"] = _predictors(real, predicted, seed)
    result.tables["positions"] = _positions(found)


def _changes(
    found: OrderOutcome, real: np.ndarray, predicted: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    rows = []
    for n in range(len(found.orders)):
        for k, kind in enumerate(c.KINDS):
            for block in range(real.shape[2]):
                row = {
                    "order": n + 1, "of": kind, "block": block + 1,
                    "position": int(found.positions[n, block]) + 1,
                    "loss": found.real[n].loss[k, block], "real": real[n, k, block],
                    "right": found.real[n].right[block] if kind == c.ITEM else np.nan,
                    "right_estimated": (
                        found.estimated[c.FIRST][n].right[block] if kind == c.ITEM else np.nan
                    ),
                }  # fmt: skip
                rows.append(row | {name: each[n, k, block] for name, each in predicted.items()})
    return pd.DataFrame(rows)


def _orders(
    found: OrderOutcome, real: np.ndarray, predicted: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    rows = []
    for n, (order, made) in enumerate(found.orders.items()):
        text, guess = real[n, 0], predicted[c.FIRST][n, 0]
        rows.append(
            {
                "order": n + 1,
                "made": made,
                "reads": " ".join(str(block + 1) for block in order),
                "distance": distance(order),
                "moved": float((found.weights[n] - found.reference_weights).norm()),
                "changed": float(np.abs(text).mean()),
                "error": float(np.abs(guess - text).mean()),
                "error_zeroth": float(np.abs(predicted[c.ZEROTH][n, 0] - text).mean()),
                "r": spearman(guess, text),
            }
        )
    return pd.DataFrame(rows)


def _predictors(real: np.ndarray, predicted: Mapping[str, np.ndarray], seed: int) -> pd.DataFrame:
    rows = []
    for k, kind in enumerate(c.KINDS):
        for name, each in predicted.items():
            told = agreement(each[:, k], real[:, k], seed)
            share = float("nan") if name == c.LATER else explained(each[:, k], real[:, k])
            needs = "the reference run" if name in c.ONE_RUN else "the other orders, trained"
            if name == c.MIXED:
                needs = "control"
            rows.append((kind, name, needs, *told, share, len(real)))
    columns = ["of", "predictor", "needs", "r", "low", "high", "explained", "n"]
    return pd.DataFrame(rows, columns=columns)


def _positions(found: OrderOutcome) -> pd.DataFrame:
    """Loss by position, each block against its own mean over all orders (so that what is hard
    counts nothing).
    """
    at = np.vstack([found.positions, np.arange(found.positions.shape[1])])
    said = [*found.real, found.reference]
    loss = np.array([each.loss for each in said])
    right = np.array([each.right for each in said])
    apart = loss - loss.mean(0)
    order = np.repeat(np.arange(len(said))[:, None], at.shape[1], 1)
    rows = []
    for k, kind in enumerate(c.KINDS):
        for position in range(at.shape[1]):
            here = at == position
            mean, (low, high) = mean_interval(apart[:, k][here], order[here])
            share = float(right[here].mean()) if kind == c.ITEM else float("nan")
            rows.append((kind, position + 1, mean, low, high, share, int(here.sum())))
    columns = ["of", "position", "apart", "low", "high", "right", "n"]
    return pd.DataFrame(rows, columns=columns)
