"""Mixture of memories (Du et al. 2025, "MoM: Linear sequence modeling with mixture-of-memories"):
several states that keys and values are written to separately, one query for all, and a router that
says which of them a token is written to and read from.

Mixing the states and then reading is the mixture of what each gives, since reading is linear; so
every memory is read by itself, as a state head: head h of memory m is number m × heads + h. The
short convolution runs over all tokens of a text (the released code's runs over those of a memory).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.state_lm.configuration import StateLMConfig
from workbench.state_lm.kernels import gated_delta_rule, l2_normalized, linear_attention
from workbench.state_lm.routers import make_router


class GatedNorm(nn.Module):
    """Root mean square norm of each head's read-out, times the gate."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        shape = x.shape
        return functional.rms_norm(x, shape[-1:], self.weight, self.eps) * functional.silu(gate)


class MemoryMixing(nn.Module):
    """The sum of weight × what a memory gives: a module of its own, so that it can be looked at."""

    def __init__(self, memories: int) -> None:
        super().__init__()
        self.memories = memories

    def forward(self, weights: Tensor, read: Tensor) -> Tensor:
        """(batch, pos, memory) and (batch, pos, memory, head, d_value) to (batch, pos, head,
        d_value).
        """
        return (weights[..., None, None] * read).sum(2)


class MemoryMixer(nn.Module):
    """The memories of one layer.

    `router` gives (batch, pos, memory), the weights of memories without the shared one; it is None
    where there is none.
    """

    def __init__(self, config: StateLMConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.rule = config.rule
        self.heads, self.memories = config.num_heads, config.num_memories
        self.all_memories = config.num_memories + config.shared_memory
        self.d_key, self.d_value = config.key_dim, config.value_dim
        states = self.heads * self.all_memories
        self.widths = (self.heads * self.d_key, states * self.d_key, states * self.d_value)
        self.in_proj_qkv = nn.Linear(config.hidden_size, sum(self.widths), bias=False)
        self.in_proj_gate = nn.Linear(config.hidden_size, self.heads * self.d_value, bias=False)
        width, self.conv_kernel = sum(self.widths), config.conv_kernel
        self.conv1d = nn.Conv1d(
            *(width, width, config.conv_kernel),
            groups=width,
            padding=config.conv_kernel - 1,
            bias=False,
        )
        if self.rule == "gated_delta":
            self.in_proj_ba = nn.Linear(config.hidden_size, 2 * states, bias=False)
            self.dt_bias = nn.Parameter(torch.empty(states))
            self.A_log = nn.Parameter(torch.empty(states))
        elif self.rule != "additive":
            raise ValueError(f"rule must be gated_delta or additive, not {self.rule!r}")
        self.router = make_router(config, layer)
        self.mixing = MemoryMixing(self.all_memories)
        self.norm = GatedNorm(self.d_value, config.rms_norm_eps)
        self.out_proj = nn.Linear(self.heads * self.d_value, config.hidden_size, bias=False)

    def forward(
        self,
        hidden_states: Tensor,
        input_ids: Tensor,
        mask: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        """(batch, pos, hidden) in and out.

        Args:
            mask: (batch, pos), False at padding, which is neither written nor convolved.
        """
        if mask is not None:
            hidden_states = hidden_states * mask[..., None].to(hidden_states.dtype)
        before = None if cache is None else cache.get_recurrent_state(self.layer)
        weights = self._weights(hidden_states, input_ids, mask, cache)
        writes = weights != 0 if mask is None else (weights != 0) & mask[..., None]
        writes = writes.repeat_interleave(self.heads, -1).to(hidden_states.dtype)
        q, k, v = self._convolved(self.in_proj_qkv(hidden_states), cache)
        read, state = self._run(hidden_states, q, k, v, writes, before, cache is not None)
        if cache is not None:
            cache.update_recurrent_state(state, self.layer)
        batch, n, _ = hidden_states.shape
        read = read.view(batch, n, self.all_memories, self.heads, self.d_value)
        mixed = self.mixing(weights, read)
        gate = self.in_proj_gate(hidden_states).view_as(mixed)
        out: Tensor = self.out_proj(self.norm(mixed, gate).flatten(2))
        return out

    def _weights(self, x: Tensor, input_ids: Tensor, mask: Tensor | None, cache: Any) -> Tensor:
        """Of every memory, the shared one last, (batch, pos, memory)."""
        if self.router is None:
            return x.new_ones(*x.shape[:2], self.all_memories)
        weights = self.router(x, input_ids, mask, cache)
        return functional.pad(weights, (0, self.all_memories - self.memories), value=1.0)

    def _convolved(self, x: Tensor, cache: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, one set for all memories, keys and values: (batch, pos, state head, d)."""
        n = x.shape[1]
        x = x.transpose(1, 2)
        if cache is not None:
            x = cache.update_conv_state(x, self.layer, conv_kernel_size=self.conv_kernel)
        x = self.conv1d(x)[..., x.shape[-1] - n : x.shape[-1]]
        q, k, v = functional.silu(x).transpose(1, 2).split(self.widths, -1)
        q = q.unflatten(-1, (self.heads, self.d_key)).repeat(1, 1, self.all_memories, 1)
        return q, k.unflatten(-1, (-1, self.d_key)), v.unflatten(-1, (-1, self.d_value))

    def _run(
        self,
        x: Tensor,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        writes: Tensor,
        before: Tensor | None,
        keep: bool,
    ) -> tuple[Tensor, Tensor | None]:
        if self.rule == "additive":
            q, k = l2_normalized(q), l2_normalized(k)
            return linear_attention(q, k, v, writes, initial_state=before, output_final_state=keep)
        b, a = self.in_proj_ba(x).chunk(2, -1)
        g = -self.A_log.float().exp() * functional.softplus(a.float() + self.dt_bias)
        return gated_delta_rule(
            q,
            k,
            v,
            g=g * writes,
            beta=b.sigmoid() * writes,
            initial_state=before,
            output_final_state=keep,
            use_qk_l2norm_in_kernel=True,
        )
