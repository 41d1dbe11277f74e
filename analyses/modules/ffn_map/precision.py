"""How well a neuron alone tells one capability's prompts from the others: average precision, and
what the best of all neurons would reach by chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

_AT_ONCE = 4096  # neurons


def ranks(scores: np.ndarray, seed: int) -> np.ndarray:
    """(prompt, neuron) scores to (neuron, prompt) ranks from 1, the largest score first.

    Ties are broken in one random order of the prompts, the same for every neuron: sorted prompts
    would give a neuron that is always silent the precision of whoever comes first.
    """
    n = len(scores)
    order = np.random.default_rng(seed).permutation(n)
    found = np.empty((scores.shape[1], n), np.uint16 if n < 2**16 else np.uint32)
    for part in _parts(scores.shape[1]):
        shuffled = scores[order, part].T
        places = np.argsort(-shuffled, axis=1, kind="stable")
        ranked = np.empty_like(places)
        np.put_along_axis(ranked, places, np.arange(1, n + 1)[None, :], axis=1)
        found[part.start : part.stop, order] = ranked
    return found


def average_precision(ranked: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Average precision of each neuron: the mean, over the members, of the share of members among
    all that rank no lower, (neuron,). 1: all members come first.

    Args:
        ranked: (neuron, prompt), from 1.
        members: numbers of the prompts that should come first.
    """
    counts = np.arange(1, len(members) + 1)
    found = np.empty(len(ranked), np.float32)
    for part in _parts(len(ranked)):
        places = np.sort(ranked[part][:, members], axis=1)
        found[part] = (counts / places).mean(1)
    return found


def by_capability(
    ranked: np.ndarray, members: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Average precision of each neuron for each capability, (neuron, capability): where it is more
    active than elsewhere, and where it is less.
    """
    active = np.stack([average_precision(ranked, rows) for rows in members.values()], 1)
    turned = _turned(ranked)
    silent = np.stack([average_precision(turned, rows) for rows in members.values()], 1)
    return active, silent


class NullOfMaximum:
    """What the best of all neurons, in its better orientation, reaches when the labels of the
    prompts are dealt at random; block by block of neurons, the same deals for each.

    One deal of all labels gives a draw for each capability.

    Args:
        sizes: prompts of each capability, in the order of the prompts.
        draws: deals of labels per capability, at least.
    """

    def __init__(self, sizes: Sequence[int], draws: int, seed: int) -> None:
        self._sizes = list(sizes)
        self._ends = np.cumsum(self._sizes)
        # Capabilities of one size have one null, so each deal counts for all of them.
        alike = max(self._sizes.count(size) for size in self._sizes)
        deals = -(-draws // alike) if alike == len(self._sizes) else draws
        rng = np.random.default_rng([seed, 1])
        self._deals = [rng.permutation(int(self._ends[-1])) for _ in range(deals)]
        self._best = np.zeros((deals, len(self._sizes)))

    def __len__(self) -> int:
        return len(self._deals)

    def add(self, ranked: np.ndarray) -> Iterator[int]:
        """Take a block of neurons along; gives the number of each deal that is done."""
        turned = _turned(ranked)
        for n, deal in enumerate(self._deals):
            for k, members in enumerate(np.split(deal, self._ends[:-1])):
                best = max(
                    float(average_precision(each, members).max()) for each in (ranked, turned)
                )
                self._best[n, k] = max(self._best[n, k], best)
            yield n

    def threshold(self, capability: int, level: float = 0.95) -> float:
        """What the best of all neurons stays below in this share of the deals."""
        alike = [k for k, size in enumerate(self._sizes) if size == self._sizes[capability]]
        return float(np.quantile(self._best[:, alike], level))


def _turned(ranked: np.ndarray) -> np.ndarray:
    """The same ranks from the other end."""
    turned: np.ndarray = (ranked.shape[1] + 1 - ranked).astype(ranked.dtype)
    return turned


def _parts(n: int) -> Iterator[slice]:
    for start in range(0, n, _AT_ONCE):
        yield slice(start, min(n, start + _AT_ONCE))
