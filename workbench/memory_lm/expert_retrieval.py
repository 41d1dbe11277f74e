"""Parameter-efficient expert retrieval (PEER, He 2024, "Mixture of a million experts"): each head
fetches a few of n² experts by product keys, and an expert is one neuron.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.memory_lm.configuration import MemoryLMConfig
from workbench.memory_lm.product_keys import best_of_pairs


@dataclass(frozen=True)
class ExpertReads:
    """What a token reads.

    Attributes:
        query: (batch, pos, head, half, d_half).
        index: number of the expert, (batch, pos, head, read).
        score: query times key, (batch, pos, head, read).
        weight: softmax of the scores, times what the expert's neuron fires.
    """

    query: Tensor
    index: Tensor
    score: Tensor
    weight: Tensor


class ExpertRetrieval(nn.Module):
    """n² experts of one neuron, of which each head fetches k; the heads' readings are added."""

    def __init__(self, config: MemoryLMConfig) -> None:
        super().__init__()
        self.side, self.heads = config.memory_side, config.memory_heads
        self.reads, self.d_half = config.memory_reads, config.memory_key_dim // 2
        self.query = nn.Linear(config.hidden_size, self.heads * 2 * self.d_half, bias=False)
        self.query_norm = nn.LayerNorm(2 * self.d_half, elementwise_affine=False)
        self.keys = nn.Parameter(torch.empty(self.heads, 2, self.side, self.d_half))
        self.inward = nn.Embedding(self.side**2, config.hidden_size)
        self.values = nn.Embedding(self.side**2, config.hidden_size)

    def start(self) -> None:
        """Keys and experts as they are before training."""
        nn.init.normal_(self.keys, std=self.d_half**-0.5)
        for table in (self.inward, self.values):
            nn.init.normal_(table.weight, std=table.embedding_dim**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, pos, d_model) to (batch, pos, d_model)."""
        read = self.look_up(x)
        out: Tensor = (read.weight[..., None] * self.values(read.index)).sum((2, 3))
        return out

    def look_up(self, x: Tensor) -> ExpertReads:
        """The experts that each token fetches; x is (batch, pos, d_model)."""
        query: Tensor = self.query(x).unflatten(-1, (self.heads, 2 * self.d_half))
        query = self.query_norm(query).unflatten(-1, (2, self.d_half))
        index, score = best_of_pairs(query, self.keys, self.reads)
        fired = functional.gelu(torch.einsum("bpd,bphrd->bphr", x, self.inward(index)))
        return ExpertReads(query, index, score, score.softmax(-1) * fired)
