"""How many examples one layer of attention can be made to fit, by its heads (Mahdavi et al. 2023,
"Memorization capacity of multi-head attention in transformers").

An example is a context of random vectors, a random query and a random label. A layer of H heads is
trained on T of them; the largest T that it fits whole is its capacity. All sets of one H are
trained side by side, as one batch of models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

WIDTH = 8
"""Numbers of a vector, and of a head."""
LABELS = 4
FITTED = 0.99
"""Share of a set that is right where it counts as fitted."""
_RATE = 0.02
_SATURATED = 0.9


@dataclass(frozen=True)
class Fit:
    """What came of one set.

    Attributes:
        examples: in the set.
        right: share of them that got their label.
        saturated: share of (head, example) whose largest attention weight is above 0.9.
    """

    heads: int
    context: int
    examples: int
    seed: int
    right: float
    saturated: float


class _Layers(torch.nn.Module):
    """So many layers of attention side by side, read at the query alone."""

    def __init__(self, models: int, heads: int) -> None:
        super().__init__()

        def matrix(*shape: int) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.randn(models, *shape) / math.sqrt(WIDTH))

        self.queries, self.keys, self.values = (matrix(heads, WIDTH, WIDTH) for _ in range(3))
        self.out = matrix(heads, WIDTH, LABELS)

    def forward(
        self, context: torch.Tensor, query: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (model, example, label), and attention (model, example, head, token)."""
        asked = torch.einsum("mtd,mhde->mthe", query, self.queries)
        # q K x as (Kᵀ q) x: the keys of every token are never made.
        asked = torch.einsum("mthe,mhde->mthd", asked, self.keys)
        scores = torch.einsum("mthd,mtnd->mthn", asked, context)
        weights = scores.softmax(-1)
        read = torch.einsum("mthn,mtnd->mthd", weights, context)
        value = torch.einsum("mhde,mhec->mhdc", self.values, self.out)
        return torch.einsum("mthd,mhdc->mtc", read, value), weights


def fit(
    heads: int,
    context: int,
    sizes: Sequence[int],
    seed: int,
    steps: int,
    report: Callable[[float], None] = lambda fraction: None,
) -> list[Fit]:
    """Train a layer on each of several sets of random examples.

    Args:
        sizes: examples of each set.
        report: gets the share that is done.
    """
    models, most = len(sizes), max(sizes)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = _Layers(models, heads)
    vectors = torch.randn(models, most, context + 1, WIDTH, generator=generator)
    tokens, query = vectors[:, :, :-1], vectors[:, :, -1]
    labels = torch.randint(LABELS, (models, most), generator=generator)
    there = torch.arange(most) < torch.tensor(sizes)[:, None]
    optimizer = torch.optim.Adam(layers.parameters(), lr=_RATE)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        logits, _ = layers(tokens, query)
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), reduction="none"
        )
        # Mean within a set, sum over sets: no model knows of the others.
        each = (losses.view_as(there) * there).sum(1) / there.sum(1)
        optimizer.zero_grad()
        each.sum().backward()
        optimizer.step()
        report(step / steps)
    with torch.no_grad():
        logits, weights = layers(tokens, query)
    right = ((logits.argmax(-1) == labels) & there).sum(1) / there.sum(1)
    sharp = ((weights.amax(-1) > _SATURATED).float().mean(-1) * there).sum(1) / there.sum(1)
    return [
        Fit(heads, context, size, seed, float(right[n]), float(sharp[n]))
        for n, size in enumerate(sizes)
    ]
