"""Which neurons of a layer are active together: moments of their sizes, counted while texts go by,
and the graph of each neuron's nearest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    import networkx as nx

HALVES = 2
"""Of the text: every other prompt. What holds of one should hold of the other."""
MOST = 2048
"""Neurons of a layer; of more, every second or third is taken."""
NEAREST = 10
"""Edges that each neuron gives."""


@dataclass
class Moments:
    """Sums over the tokens of each half of the text.

    Attributes:
        step: every so many neurons of the layer are counted.
        count: tokens, (half,); total: sums of |activation|, (half, neuron); product: sums of
            products of two neurons', (half, neuron, neuron).
    """

    step: int
    count: Tensor
    total: Tensor
    product: Tensor

    @classmethod
    def of_nothing(cls, neurons: int) -> Moments:
        step = -(-neurons // MOST)
        n = -(-neurons // step)
        return cls(step, torch.zeros(HALVES), torch.zeros(HALVES, n), torch.zeros(HALVES, n, n))

    def of_batch(self, x: Tensor, counted: Tensor, rows: Sequence[int]) -> Moments:
        """Those of one batch alone.

        Args:
            x: (batch, pos, d_mlp) activations; counted: (batch, pos), which columns count.
            rows: numbers of its prompts.
        """
        half = torch.tensor(rows, device=x.device) % HALVES
        count, total, product = [], [], []
        for number in range(HALVES):
            chosen = x[..., :: self.step].abs().float()[counted & (half == number)[:, None]]
            count.append(torch.tensor(float(len(chosen))))
            total.append(chosen.sum(0).cpu())
            product.append((chosen.T @ chosen).cpu())
        return Moments(self.step, torch.stack(count), torch.stack(total), torch.stack(product))

    def add(self, other: Moments) -> None:
        for mine, more in ((self.count, other.count), (self.total, other.total),
                           (self.product, other.product)):  # fmt: skip
            mine += more

    def correlation(self, half: int | None = None) -> np.ndarray:
        """Correlation of two neurons' |activation| over tokens, (neuron, neuron); 0 where one does
        not vary.

        Args:
            half: of the text; None is all of it.
        """
        chosen = slice(None) if half is None else slice(half, half + 1)
        count = float(self.count[chosen].sum())
        total = self.total[chosen].sum(0).double()
        product = self.product[chosen].sum(0).double()
        covariance = product / count - torch.outer(total, total) / count**2
        spread = covariance.diagonal().clamp(min=0).sqrt()
        scale = torch.outer(spread, spread)
        safe = torch.where(scale > 1e-12, covariance / scale.clamp(min=1e-12), 0.0)
        return safe.numpy()


def nearest_graph(correlation: np.ndarray) -> nx.Graph:
    """Each neuron tied to those that it correlates with most, by so much; edges of no positive
    correlation are left out.
    """
    import networkx as nx

    near = correlation.copy()
    np.fill_diagonal(near, -np.inf)
    k = min(NEAREST, len(near) - 1)
    best = np.argpartition(-near, k - 1, axis=1)[:, :k]
    graph = nx.Graph()
    graph.add_nodes_from(range(len(near)))
    graph.add_weighted_edges_from(
        (one, int(other), float(near[one, other]))
        for one in range(len(near))
        for other in best[one]
        if near[one, other] > 0
    )
    return graph
