"""Where episodes begin: at surprising tokens (EM-LLM, Fountas et al. 2024), and the fixed and
random ones beside which that has to be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from torch import Tensor

GAMMA, PRECEDING = 1.0, 128
SHORTEST, LONGEST = 8, 128


def surprise_episodes(
    surprisal: Float[Tensor, " pos"],
    first: int,
    last: int,
    *,
    gamma: float = GAMMA,
    shortest: int = SHORTEST,
    longest: int = LONGEST,
) -> list[tuple[int, int]]:
    """Episodes from `first` to before `last`: a token begins one whose surprisal is more than
    `gamma` standard deviations above the mean of the 128 tokens before it; none is shorter than 8
    tokens or longer than 128.
    """
    values = surprisal.double().cpu().numpy()
    starts = [first]
    for pos in range(first + 1, last):
        before = values[max(1, pos - PRECEDING) : pos]
        size = pos - starts[-1]
        surprising = len(before) > 1 and values[pos] > before.mean() + gamma * before.std()
        if size >= longest or (surprising and size >= shortest and last - pos >= shortest):
            starts.append(pos)
    return list(zip(starts, [*starts[1:], last], strict=True))


def random_episodes(episodes: Sequence[tuple[int, int]], seed: int) -> list[tuple[int, int]]:
    """The same sizes in another order."""
    sizes = np.random.default_rng([seed, 11]).permutation([b - a for a, b in episodes])
    ends = episodes[0][0] + np.cumsum(sizes)
    return [(int(end - size), int(end)) for end, size in zip(ends, sizes, strict=True)]


def even_episodes(episodes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """As many of one size, up to rounding."""
    edges = np.linspace(episodes[0][0], episodes[-1][1], len(episodes) + 1).round().astype(int)
    return [(int(a), int(b)) for a, b in pairwise(edges)]


def boundary_f1(episodes: Sequence[tuple[int, int]], true: Sequence[int], within: int = 1) -> float:
    """F1 of where episodes begin against true beginnings, at most so many tokens apart; the first
    episode's does not count.
    """
    found = [first for first, _ in episodes[1:]]
    if not found or not true:
        return 0.0
    hit = sum(any(abs(one - other) <= within for other in true) for one in found)
    reached = sum(any(abs(one - other) <= within for other in found) for one in true)
    precision, recall = hit / len(found), reached / len(true)
    return 2 * precision * recall / (precision + recall) if hit else 0.0
