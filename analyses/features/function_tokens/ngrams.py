"""How far mere counting comes: the loss of unigrams and trigrams on the same tokens."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np

ORDER = 3
_DISCOUNT = 0.75


class NGrams:
    """Interpolated n-grams with absolute discounting (Ney, Essen and Kneser 1994), ending in a
    uniform guess.

    Args:
        rows: token ids, row by row; nothing is counted across rows.
        vocabulary: how many types there are.
        order: the longest context is one token less.
    """

    def __init__(self, rows: Iterable[np.ndarray], vocabulary: int, order: int = ORDER) -> None:
        self._vocabulary, self._order = vocabulary, order
        self._counts: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order)]
        for row in rows:
            ids = row.tolist()
            for n, counts in enumerate(self._counts):
                counts.update(zip(*(ids[k:] for k in range(n + 1)), strict=False))
        self._totals: list[dict[tuple[int, ...], int]] = []
        self._kinds: list[dict[tuple[int, ...], int]] = []
        for counts in self._counts:
            totals: dict[tuple[int, ...], int] = defaultdict(int)
            kinds: dict[tuple[int, ...], int] = defaultdict(int)
            for gram, count in counts.items():
                totals[gram[:-1]] += count
                kinds[gram[:-1]] += 1
            self._totals.append(totals)
            self._kinds.append(kinds)

    def losses(self, row: np.ndarray, order: int | None = None) -> np.ndarray:
        """Nats that each token of a row costs, given those before it, (pos,).

        Args:
            order: only contexts of up to so many tokens less one; 1 are unigrams.
        """
        ids = row.tolist()
        return np.array(
            [-np.log(self._chance(ids, at, order or self._order)) for at in range(len(ids))]
        )

    def _chance(self, ids: list[int], at: int, order: int) -> float:
        chance = 1 / self._vocabulary
        for n in range(min(order, at + 1)):
            before = tuple(ids[at - n : at])
            total = self._totals[n].get(before, 0)
            if total:
                count = self._counts[n].get((*before, ids[at]), 0)
                chance = (
                    max(0.0, count - _DISCOUNT) + _DISCOUNT * self._kinds[n][before] * chance
                ) / total
        return chance
