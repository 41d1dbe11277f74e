"""A memory of all tokens that were read (Memorizing Transformers, Wu et al. 2022): each token reads
the k earlier ones whose keys are nearest to its query, farther back than attention sees.

What differs from the paper: the memory stands in place of an MLP and has keys and values of its
own, so that what attention sees and what is remembered stay apart; its gate opens onto nothing
instead of onto the local reading.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.memory_lm.nearest_config import NearestLMConfig


@dataclass(frozen=True)
class NearestReads:
    """What a token reads.

    Attributes:
        query: of unit length times the head's scale, (batch, pos, head, d_head).
        key: of every token, of unit length, (batch, head, pos, d_head).
        value: of every token, (batch, head, pos, d_head).
        index: which tokens are read, (batch, pos, head, read).
        score: query times key; minus infinity where there is no such token.
        weight: softmax of the scores; zero where nothing is far enough back.
        gate: 0 to 1, (batch, pos, head).
    """

    query: Tensor
    key: Tensor
    value: Tensor
    index: Tensor
    score: Tensor
    weight: Tensor
    gate: Tensor


class NearestTokenMemory(nn.Module):
    """Keys and values of all tokens of a text; heads stand beside each other, each behind its
    gate.
    """

    def __init__(self, config: NearestLMConfig) -> None:
        super().__init__()
        self.heads, self.reads = config.memory_heads, config.memory_reads
        self.width = config.hidden_size // config.memory_heads
        self.window = int(config.sliding_window or 1)
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=False)
        self.scale = nn.Parameter(torch.full((self.heads,), 10.0))
        self.gate_bias = nn.Parameter(torch.zeros(self.heads))
        self.reading = TokenReading()
        self.out = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, pos, d_model) to (batch, pos, d_model)."""
        given: Tensor = self.out(self.reading(self.look_up(x)))
        return given

    def look_up(self, x: Tensor) -> NearestReads:
        """The tokens that each token reads; x is (batch, pos, d_model)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, self.width)).unbind(2)
        query = functional.normalize(q, dim=-1) * self.scale[:, None]
        key = functional.normalize(k, dim=-1)
        score = torch.einsum("bphd,bshd->bphs", query, key)
        pos = torch.arange(x.shape[1], device=x.device)
        far = pos[:, None] - pos >= self.window
        score = score.masked_fill(~far[:, None], -torch.inf)
        best, index = score.topk(min(self.reads, x.shape[1]), -1)
        any_far = far.any(-1)[:, None, None]
        weight = torch.where(any_far, best.masked_fill(~any_far, 0.0).softmax(-1), 0.0)
        gate = torch.sigmoid(self.gate_bias).expand(*x.shape[:2], -1)
        return NearestReads(
            query, key.transpose(1, 2), v.transpose(1, 2), index, best, weight, gate
        )


class TokenReading(nn.Module):
    """The sum of weight × gate × value: a module of its own, so that it can be looked at.

    Attributes:
        last: what was read last, while nothing is trained.
    """

    def __init__(self) -> None:
        super().__init__()
        self.last: NearestReads | None = None

    def forward(self, read: NearestReads) -> Tensor:
        """(batch, pos, head × d_head)."""
        self.last = None if torch.is_grad_enabled() else read
        row = torch.arange(len(read.index), device=read.index.device)[:, None, None, None]
        head = torch.arange(read.index.shape[2], device=read.index.device)[:, None]
        brought = read.value[row, head, read.index]  # (batch, pos, head, read, d_head)
        summed = (read.weight[..., None] * brought).sum(-2) * read.gate[..., None]
        return summed.flatten(-2)
