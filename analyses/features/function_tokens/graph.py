"""The graph between token types and features: who was ever active on whom, how often, and how
strongly at most.

Counts are kept, not only edges: what fewer occurrences would have shown then follows exactly
(rarefaction, Hurlbert 1971), without drawing samples, and an edge's largest activation tells
whether it stands at any threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_WAITING = 1 << 21  # entries that are added up at once


@dataclass(frozen=True)
class TokenFeatureEdges:
    """A finished graph, one entry per edge, ordered by type and then by feature.

    Attributes:
        type: token id; feature: number of the feature; count: occurrences of the type on which the
            feature was active;
        peak: its largest activation on one of them.
        width: how many features there are.
    """

    type: np.ndarray
    feature: np.ndarray
    count: np.ndarray
    peak: np.ndarray
    width: int

    @property
    def alive(self) -> np.ndarray:
        """Which features have an edge, (feature,) bool."""
        found = np.zeros(self.width, bool)
        found[self.feature] = True
        return found

    def above(self, share: float) -> TokenFeatureEdges:
        """The edges whose feature reaches more than a share of its largest activation on that
        type.
        """
        most = np.zeros(self.width, np.float32)
        np.maximum.at(most, self.feature, self.peak)
        keep = self.peak > share * most[self.feature]
        return TokenFeatureEdges(
            self.type[keep], self.feature[keep], self.count[keep], self.peak[keep], self.width
        )


class Graph:
    """Adds up a graph while text goes by; memory grows with the edges, not with the text."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._keys: Tensor | None = None
        self._counts = self._peaks = torch.empty(0, dtype=torch.float32)
        self._new: list[tuple[Tensor, Tensor]] = []
        self._waiting = 0

    def add(self, types: Tensor, features: Tensor, values: Tensor) -> None:
        """Entries (entry,): on an occurrence of this type this feature had this activation."""
        self._new.append((types.long() * self._width + features, values.float()))
        self._waiting += len(values)
        if self._waiting > _WAITING:
            self._settle()

    def _settle(self) -> None:
        if not self._new:
            return
        keys, values = (torch.cat(parts) for parts in zip(*self._new, strict=True))
        self._new, self._waiting = [], 0
        counts = torch.ones_like(keys, dtype=torch.int32)
        if self._keys is not None:
            keys = torch.cat([self._keys, keys])
            values, counts = torch.cat([self._peaks, values]), torch.cat([self._counts, counts])
        self._keys, where = keys.unique(return_inverse=True)
        self._counts = counts.new_zeros(len(self._keys)).index_add_(0, where, counts)
        self._peaks = values.new_zeros(len(self._keys)).scatter_reduce_(0, where, values, "amax")

    def edges(self) -> TokenFeatureEdges:
        """What was added up, in 16 bytes an edge; the graph is empty after it, so that both are
        never held.
        """
        self._settle()
        keys, counts, peaks = self._keys, self._counts, self._peaks
        self._keys = None
        if keys is None:
            nothing = np.zeros(0, np.int32)
            return TokenFeatureEdges(
                nothing, nothing, nothing, np.zeros(0, np.float32), self._width
            )
        types = torch.div(keys, self._width, rounding_mode="floor").int().cpu().numpy()
        features = (keys % self._width).int().cpu().numpy()
        return TokenFeatureEdges(
            types, features, counts.cpu().numpy(), peaks.cpu().numpy(), self._width
        )


def degrees(edges: TokenFeatureEdges, vocabulary: int) -> np.ndarray:
    """Features that each type ever activates, (type,)."""
    return np.bincount(edges.type, minlength=vocabulary)


def coverage(edges: TokenFeatureEdges, order: np.ndarray) -> np.ndarray:
    """|F(t_1) ∪ … ∪ F(t_n)| / |features alive| for n = 1 …, types in this order, (n,)."""
    last = len(order)
    rank = np.full(max(int(edges.type.max(initial=0)), int(order.max(initial=0))) + 1, last)
    rank[order] = np.arange(last)
    first = np.full(edges.width, last)
    np.minimum.at(first, edges.feature, rank[edges.type])
    reached: np.ndarray = np.cumsum(np.bincount(first, minlength=last + 1)[:last])
    return reached / max(1, int(edges.alive.sum()))


def missed(
    count: np.ndarray, occurrences: np.ndarray | int, sample: np.ndarray | int
) -> np.ndarray:
    """The probability that none of `sample` occurrences, drawn without putting back, is one of the
    `count`: C(N−n, m)/C(N, m).

    Raises:
        ValueError: a sample larger than what there is.
    """
    from scipy.special import gammaln

    n, total, m = np.broadcast_arrays(
        np.asarray(count, float), np.asarray(occurrences, float), np.asarray(sample, float)
    )
    if (m > total).any():
        raise ValueError("a sample cannot be larger than what it is drawn from")
    left = total - n - m
    possible = left >= 0
    safe = np.where(possible, left, 0)
    logs = gammaln(total - n + 1) - gammaln(safe + 1) - gammaln(total + 1) + gammaln(total - m + 1)
    return np.where(possible, np.exp(np.minimum(logs, 0)), 0.0)


def degrees_at(edges: TokenFeatureEdges, occurrences: np.ndarray, sample: int) -> np.ndarray:
    """Features that each type would have activated in `sample` of its occurrences, expected,
    (type,); NaN where it has fewer.
    """
    enough = occurrences >= sample
    mask = enough[edges.type]
    types = edges.type[mask]
    seen = 1 - missed(edges.count[mask], occurrences[types], sample)
    return np.where(enough, np.bincount(types, seen, minlength=len(occurrences)), np.nan)


def coverage_at(
    edges: TokenFeatureEdges, occurrences: np.ndarray, order: np.ndarray, sample: np.ndarray | int
) -> np.ndarray:
    """`coverage` when only `sample` occurrences of each type are drawn (a number, or one for
    each of `order`), expected.
    """
    samples = np.broadcast_to(np.asarray(sample), order.shape)
    starts = np.searchsorted(edges.type, order)
    ends = np.searchsorted(edges.type, order, side="right")
    not_yet = np.ones(edges.width)
    reached = np.zeros(len(order))
    total = 0.0
    for n, (type_, start, end, m) in enumerate(zip(order, starts, ends, samples, strict=True)):
        features = edges.feature[start:end]
        gone = not_yet[features] * missed(edges.count[start:end], occurrences[type_], m)
        total += float((not_yet[features] - gone).sum())
        not_yet[features] = gone
        reached[n] = total
    return reached / max(1, int(edges.alive.sum()))


def pooled(
    edges: TokenFeatureEdges, occurrences: np.ndarray, types: np.ndarray, samples: np.ndarray
) -> np.ndarray:
    """Features reached by so many tokens drawn at random from all occurrences of these types, share
    of those alive, expected.

    Args:
        samples: numbers of tokens; NaN comes for one larger than there are.
    """
    inside = np.zeros(len(occurrences), bool)
    inside[types] = True
    mask = inside[edges.type]
    counts = np.bincount(edges.feature[mask], edges.count[mask], minlength=edges.width)
    counts, total = counts[counts > 0], int(occurrences[types].sum())
    alive = max(1, edges.alive.sum())
    return np.array(
        [
            float((1 - missed(counts, total, int(m))).sum()) / alive if m <= total else np.nan
            for m in samples
        ]
    )
