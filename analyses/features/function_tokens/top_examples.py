"""What is kept of every feature to look at: where it is strongest, and how strong it usually is."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from analyses.features.function_tokens.constants import BINS

EXAMPLES = 6
"""Contexts kept of each feature, from different windows."""


class TopExamples:
    """The strongest activations of every feature, and a histogram of all of them."""

    def __init__(self, width: int, length: int, device: torch.device) -> None:
        self._width, self._length = width, length
        self._best = torch.zeros(width, EXAMPLES, dtype=torch.float32, device=device)
        self._where = torch.full((width, EXAMPLES), -1, dtype=torch.int64, device=device)
        self._counts = torch.zeros(width * (len(BINS) - 1), dtype=torch.int64, device=device)
        self._edges = torch.as_tensor(BINS[1:-1], dtype=torch.float32, device=device)

    def add(self, token: Tensor, feature: Tensor, value: Tensor) -> None:
        """Entries (entry,), `token` counted from the first window of all.

        No window may come in two calls.
        """
        if not len(value):
            return
        bins = torch.bucketize(value, self._edges, right=True)
        self._counts += torch.bincount(
            feature * (len(BINS) - 1) + bins, minlength=len(self._counts)
        )
        # Of each window the strongest token alone, or one text would fill the list.
        order = torch.argsort(value, descending=True, stable=True)
        token, feature, value = token[order], feature[order], value[order]
        window = token // self._length
        key = feature * (window.max() + 1) + window
        order = torch.argsort(key, stable=True)
        first = torch.ones(len(order), dtype=torch.bool, device=value.device)
        first[1:] = key[order][1:] != key[order][:-1]
        keep = order[first].sort().values  # strongest first again
        keep = keep[torch.argsort(feature[keep], stable=True)]
        token, feature, value = token[keep], feature[keep], value[keep]
        rank = torch.arange(len(feature), device=value.device) - torch.searchsorted(
            feature, feature
        )
        top = rank < EXAMPLES
        best, where = torch.zeros_like(self._best), torch.full_like(self._where, -1)
        best[feature[top], rank[top]], where[feature[top], rank[top]] = value[top], token[top]
        both, places = torch.cat([self._best, best], 1), torch.cat([self._where, where], 1)
        order = torch.argsort(both, dim=1, descending=True, stable=True)[:, :EXAMPLES]
        self._best, self._where = both.gather(1, order), places.gather(1, order)

    @property
    def strongest(self) -> tuple[np.ndarray, np.ndarray]:
        """(activation, token), (feature, example) each, strongest first.

        0 and -1 where there are fewer.
        """
        return self._best.cpu().numpy(), self._where.cpu().numpy()

    @property
    def histogram(self) -> np.ndarray:
        """Tokens by activation, (feature, bin)."""
        return self._counts.reshape(self._width, -1).cpu().numpy()
