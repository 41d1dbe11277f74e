"""What a run costs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analyses.training.training_order import constants as c
from workbench.cost import Cost

if TYPE_CHECKING:
    from analyses.training.training_order.params import Params
    from hooks.model import InstrumentedModel

_STEP, _PER_TOKEN = 6e-3, 8e-5
"""Seconds of an update of the new small model on one core: by itself, and for each token."""
_GRADIENT, _PRODUCT = 0.7, 1.2
"""A gradient that can be differentiated again, and its product with a direction, as shares of an
update."""


def shares(params: Params, orders: int) -> dict[str, tuple[float, float]]:
    """Which part of the progress bar each step of a run has."""
    weights, found, done = _updates(params, orders), dict[str, tuple[float, float]](), 0.0
    total = sum(weights.values())
    for name, weight in weights.items():
        found[name] = done / total, (done + weight) / total
        done += weight
    return found


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """Of the whole."""
    orders = _orders(params)
    updates = sum(_updates(params, orders).values())
    tokens = (params.rows + 1) * params.length
    steps = _steps(params)
    kinds = 2 + bool(params.directions)
    if params.start == "asked":
        size = model.card.n_params
        work = Cost(forward=tokens * updates, passes=updates, backward=2 * tokens * updates)
    else:
        size = 220_000
        work = Cost(seconds=(_STEP + _PER_TOKEN * tokens) * updates)
    store = params.directions * (steps - params.lead)
    held = 4.0 * size * (steps + orders * (1 + 3 * kinds) + 3 * c.EXTRA_ORDERS + store)
    return work + Cost(bytes=held, seconds=2.0)


def _orders(params: Params) -> int:
    given = [part for part in params.given.split(";") if part.strip()]
    return len(given) or min(params.orders, math.factorial(params.blocks) - 1)


def _steps(params: Params) -> int:
    return params.lead + params.tail + params.blocks * params.steps


def _updates(params: Params, orders: int) -> dict[str, float]:
    """What each step of a run takes, in updates."""
    steps = _steps(params)
    fresh = params.before if params.start == "fresh" else 0
    between = params.blocks * params.steps * params.blocks
    products = params.blocks * params.steps * orders * (1 + bool(params.directions))
    estimates = _GRADIENT * between * (1 + bool(params.directions)) + _PRODUCT * products
    return {
        "before": max(1.0, fresh * c.BEFORE_ROWS / params.rows),
        "once": float(steps),
        "others": float(steps * (orders + 1)),
        "estimates": estimates + 3.0 * params.blocks**2,
    }
