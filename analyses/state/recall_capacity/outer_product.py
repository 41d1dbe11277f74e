"""The simplest memory, a sum of outer products, and the law of its error (Cabannes et al. 2023,
"Scaling laws for associative memories").

Item x comes with probability p(x) ∝ x^-exponent and belongs to one of a few classes. Items and
classes have random vectors e_x, u_y of d numbers, N(0, 1/d). The memory is W = Σ q(x) u_f(x) e_xᵀ,
its answer to x the class y with the largest u_yᵀ W e_x, its error the probability of a wrong one.
What q(x) is decides the law: W has d × d numbers, whatever it stores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

CLASSES = 5
_CHUNK = 2**22  # random numbers at once
_NODES = 24  # of the integral over what the right class gets by chance
_DRAWS = 12  # assignments of items to classes that the expected error is averaged over


def frequencies(items: int, exponent: float) -> np.ndarray:
    """p(x), (item,); the most frequent first."""
    p = np.arange(1.0, items + 1) ** -exponent
    share: np.ndarray = p / p.sum()
    return share


def strengths(rule: str, p: np.ndarray, d: int) -> np.ndarray:
    """q(x), (item,): how strongly each item is stored, one of `constants.RULES`."""
    if rule == "top":
        return (np.arange(len(p)) < max(1, d // 8)).astype(float)
    raised: np.ndarray = p ** {"p": 1.0, "sqrt": 0.5, "equal": 0.0}[rule]
    raised /= raised[0]
    return raised


def limit(rule: str, exponent: float) -> float:
    """The slope of ln error over ln d as d grows without end; NaN where the error does not fall.

    With q = p^ρ, items up to x ~ d^(1 / 2ρα) are stronger than the crosstalk of all others, and the
    error is the probability of those behind. Storing the first d / 8 alike is, up to logarithms,
    the best there is for random vectors.
    """
    rho = {"p": 1.0, "sqrt": 0.5}.get(rule)
    if rule == "top":
        return -(exponent - 1)
    if rho is None or 2 * rho * exponent <= 1:
        return math.nan
    return -(exponent - 1) / (2 * rho * exponent)


@dataclass(frozen=True)
class OuterProduct:
    """One memory with its random vectors.

    Attributes:
        margin: (item,) score of the right class less the best other one.
        p: (item,) frequencies.
    """

    margin: np.ndarray
    p: np.ndarray

    @property
    def error(self) -> float:
        """Probability that an item that comes gets a wrong class."""
        return float(self.p[self.margin <= 0].sum())


def build(
    rules: Sequence[str], d: int, items: int, exponent: float, seed: int
) -> dict[str, OuterProduct]:
    """Draw the vectors, store the items by each rule, read them all; by rule."""
    rng = np.random.default_rng([seed, d])
    p = frequencies(items, exponent)
    classes = rng.integers(0, CLASSES, items)
    u = rng.standard_normal((CLASSES, d)).astype(np.float32) / math.sqrt(d)
    chunk = max(1, _CHUNK // d)
    parts = [slice(start, min(items, start + chunk)) for start in range(0, items, chunk)]
    vectors = [
        rng.standard_normal((part.stop - part.start, d), dtype=np.float32)
        / np.float32(math.sqrt(d))
        for part in parts
    ]
    memories = {}
    for rule in rules:
        q = strengths(rule, p, d)
        stored = np.zeros((CLASSES, d))
        for part, e in zip(parts, vectors, strict=True):
            weights = np.zeros((CLASSES, len(e)), dtype=np.float32)
            weights[classes[part], np.arange(len(e))] = q[part]
            stored += weights @ e
        # u W e = (u uᵀ) (Σ q e)ᵀ e, class by class: W itself is never needed.
        read = ((u @ u.T) @ stored).astype(np.float32)
        scores = np.concatenate([e @ read.T for e in vectors])
        at = np.arange(items)
        right = scores[at, classes].copy()
        scores[at, classes] = -np.inf
        memories[rule] = OuterProduct(right - scores.max(1), p)
    return memories


def expected_error(rule: str, d: int, items: int, exponent: float, seed: int = 0) -> float:
    """What the theory says at this d, not in the limit: signal q(x) against Gaussian crosstalk of
    its own and of each other class, whose variance is Σ q² / d over the items of that class.
    """
    from scipy.special import ndtr

    p = frequencies(items, exponent)
    q = strengths(rule, p, d)
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    weights = weights / weights.sum()
    # Behind the first few thousand items all are alike: those are grouped.
    head = min(items, 4000)
    errors = []
    for draw in range(_DRAWS):
        classes = np.random.default_rng([seed, draw]).integers(0, CLASSES, items)
        total = np.bincount(classes, q**2, CLASSES)
        own = np.sqrt(np.maximum(total[classes[:head]] - q[:head] ** 2, 0) / d)[:, None]
        mean = q[:head, None] + own * nodes
        right = np.ones_like(mean)
        for y in range(CLASSES):
            spread = math.sqrt(total[y] / d) or 1e-12
            right *= np.where((classes[:head] == y)[:, None], 1.0, ndtr(mean / spread))
        wrong = 1 - right @ weights
        tail = p[head:].sum() * wrong[-1] if items > head else 0.0
        errors.append(float(p[:head] @ wrong + tail))
    return float(np.mean(errors))


def slope(dimensions: Sequence[int], errors: Sequence[float] | np.ndarray) -> float:
    """Of ln error over ln d, by least squares; NaN where an error is 0."""
    values = np.asarray(errors, float)
    if not (values > 0).all():
        return math.nan
    return float(np.polyfit(np.log(np.asarray(dimensions, float)), np.log(values), 1)[0])
