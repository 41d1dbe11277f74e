"""Product-key memory (Lample et al. 2019; as a layer of language models Berges et al. 2024).

A slot's key is a pair, one of n first halves and one of n second halves, so that the k best of n²
slots are found among the k best of each half, without looking at all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workbench.memory_lm.configuration import MemoryLMConfig


@dataclass(frozen=True)
class ProductKeyReads:
    """What a token reads.

    Attributes:
        query: (batch, pos, head, half, d_half).
        index: number of the slot, (batch, pos, head, read).
        score: query times key, (batch, pos, head, read), the largest first.
        weight: softmax of the scores, (batch, pos, head, read).
    """

    query: Tensor
    index: Tensor
    score: Tensor
    weight: Tensor


class ProductKeyed(nn.Module):
    """n² values, of which each head reads k by product keys; the heads' readings are added."""

    def __init__(self, config: MemoryLMConfig) -> None:
        super().__init__()
        self.side, self.heads = config.memory_side, config.memory_heads
        self.reads, self.d_half = config.memory_reads, config.memory_key_dim // 2
        self.query = nn.Linear(config.hidden_size, self.heads * 2 * self.d_half, bias=False)
        self.query_norm = nn.LayerNorm(2 * self.d_half, elementwise_affine=False)
        self.keys = nn.Parameter(torch.empty(self.heads, 2, self.side, self.d_half))
        self.values = nn.Embedding(self.side**2, config.hidden_size)

    def start(self) -> None:
        """Keys and values as they are before training."""
        nn.init.normal_(self.keys, std=self.d_half**-0.5)
        nn.init.normal_(self.values.weight, std=self.values.embedding_dim**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, pos, d_model) to (batch, pos, d_model)."""
        read = self.look_up(x)
        out: Tensor = (read.weight[..., None] * self.values(read.index)).sum((2, 3))
        return out

    def look_up(self, x: Tensor) -> ProductKeyReads:
        """What each token reads; x is (batch, pos, d_model)."""
        query: Tensor = self.query(x).unflatten(-1, (self.heads, 2 * self.d_half))
        query = self.query_norm(query).unflatten(-1, (2, self.d_half))
        index, score = best_of_pairs(query, self.keys, self.reads)
        return ProductKeyReads(query, index, score, score.softmax(-1))


class ProductKeyMemory(ProductKeyed):
    """The values are slots, each weighed by its key alone."""


def best_of_pairs(query: Tensor, keys: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """(numbers, scores) of the k best of n² slots, each (batch, pos, head, k), the best first.

    Args:
        query: (batch, pos, head, half, d_half).
        keys: (head, half, n, d_half); slot i × n + j has the i-th first half, the j-th second one.
    """
    halves = torch.einsum("bphsd,hsnd->bphsn", query, keys)
    best, places = halves.topk(k, -1)
    sums = best[..., 0, :, None] + best[..., 1, None, :]
    slots = places[..., 0, :, None] * keys.shape[2] + places[..., 1, None, :]
    score, which = sums.flatten(-2).topk(k, -1)
    return slots.flatten(-2).gather(-1, which), score
