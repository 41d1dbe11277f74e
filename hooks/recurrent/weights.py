"""Implicit attention: how much of every past value a token reads out of the state, from what the
kernel is given (Ali, Zimerman and Wolf 2024; Zimerman, Ali and Wolf 2024).

o_t = sum over s ≤ t of w[t, s] v_s holds for every update that is linear in the state and the
values. Decays are exponentials of *differences* of sums of logarithms; a ratio of products would
overflow after some hundred tokens.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from hooks.recurrent.kernel_inputs import KernelInputs

# A decay below exp(-200) is zero in any precision; minus infinity would make differences of sums no
# number.
_LEAST = -200.0


def attention_weights(
    inputs: KernelInputs, channels: slice = slice(None)
) -> Float[Tensor, "batch state_head channel query key"]:
    """w[t, s] of a text that was read from its first token on, float32.

    Args:
        channels: of the values; used where each has its own map (`KernelInputs.per_channel`), else
            the one map serves all: channel is 1.
    """
    if inputs.log_write is not None:
        return _softmax(inputs, channels)
    if inputs.per_channel:
        return _per_channel(inputs, channels)
    total = _summed(inputs)[..., 0]  # (batch, head, pos, 1 or d_key)
    q, k = (x.transpose(1, 2).double() for x in (inputs.q, inputs.k))
    beta = inputs.beta[..., 0].transpose(1, 2).double()
    weights = _scores(q, k, total)
    if inputs.rule == "delta":
        # What is written is what the state does not predict yet: a triangular system over tokens
        # (the UT transform of Yang et al. 2024, here with one chunk).
        erased = beta[..., None] * _scores(k, k, total)
        weights = torch.linalg.solve_triangular(
            erased, weights, upper=False, left=False, unitriangular=True
        )
    weights = weights * beta[:, :, None]
    if inputs.floor is not None:
        floor = inputs.floor.transpose(1, 2).double()
        weights = weights / (torch.maximum(weights.sum(-1).abs(), floor) + inputs.eps)[..., None]
    return weights[:, :, None].float()


def squared_lengths(weights: Tensor, values: Tensor) -> Float[Tensor, "batch head query key"]:
    """|w v|² of every pair of tokens, over the channels given."""
    values = values.permute(0, 2, 3, 1).double()  # (batch, head, d_value, key)
    if weights.shape[2] == 1:
        return weights[:, :, 0].double() ** 2 * values.square().sum(2)[:, :, None]
    return torch.einsum("bhcqk,bhck->bhqk", weights.double() ** 2, values**2)


def weighted_sum(weights: Tensor, values: Tensor) -> Float[Tensor, "batch pos state_head d_value"]:
    """What the tokens read: sum over past tokens of w v."""
    if weights.shape[2] == 1:
        return torch.einsum("bhqk,bkhv->bqhv", weights[:, :, 0], values)
    return torch.einsum("bhvqk,bkhv->bqhv", weights, values)


def _summed(inputs: KernelInputs, channels: slice = slice(None)) -> Tensor:
    """Sums of logarithms of decays, (batch, head, pos, row, col), in double precision."""
    step, rate = inputs.step, inputs.rate
    step = step[..., channels] if step.shape[-1] > 1 else step
    rate = rate[..., channels] if rate.shape[-1] > 1 else rate
    return (step.double() * rate.double()).clamp(min=_LEAST).cumsum(1).transpose(1, 2)


def _past(n: int, device: torch.device) -> Tensor:
    """True where the key is not after the query, (query, key)."""
    return torch.ones(n, n, dtype=torch.bool, device=device).tril()


def _scores(a: Tensor, b: Tensor, total: Tensor) -> Tensor:
    """a_t b_s times the decay between, zero for s > t: (batch, head, query, key).

    Args:
        a, b: (batch, head, pos, d_key).
        total: sums of logarithms, (batch, head, pos, 1 or d_key).
    """
    past = _past(a.shape[2], a.device)

    def decay(i: int) -> Tensor:
        gap = total[..., :, None, i] - total[..., None, :, i]
        return gap.masked_fill(~past, float("-inf")).exp()

    if total.shape[-1] == 1:
        return (a @ b.transpose(-1, -2)) * decay(0)
    scores = a.new_zeros(*a.shape[:2], a.shape[2], a.shape[2])
    for i in range(a.shape[-1]):  # a whole (query, key, d_key) would be d_key times as large
        scores += a[..., :, None, i] * b[..., None, :, i] * decay(i)
    return scores


def _per_channel(inputs: KernelInputs, channels: slice) -> Tensor:
    """Where every value channel decays or writes by itself (Mamba, RG-LRU)."""
    total = _summed(inputs, channels)  # (batch, head, pos, row, col)
    past = _past(inputs.n_tokens, total.device)
    q, k = (x.transpose(1, 2).double() for x in (inputs.q, inputs.k))
    weights: Tensor | float = 0.0
    for i in range(total.shape[-2]):
        along = total[..., i, :].transpose(-1, -2)  # (batch, head, col, pos)
        gap = along[..., :, None] - along[..., None, :]
        pairs = q[..., i][..., :, None] * k[..., i][..., None, :]
        weights = weights + pairs[:, :, None] * gap.masked_fill(~past, float("-inf")).exp()
    assert isinstance(weights, Tensor)
    beta = inputs.beta[..., channels] if inputs.beta.shape[-1] > 1 else inputs.beta
    return (weights * beta.permute(0, 2, 3, 1).double()[..., None, :]).float()


def _softmax(inputs: KernelInputs, channels: slice) -> Tensor:
    """RWKV-4: softmax of key - decay × distance, the token itself with a bonus instead."""
    assert inputs.log_write is not None
    assert inputs.bonus is not None
    assert inputs.slope is not None
    key = inputs.log_write[..., channels].permute(0, 2, 3, 1).double()
    decay = inputs.slope[channels].double()
    n = inputs.n_tokens
    at = torch.arange(n, device=key.device)
    distance = at[:, None] - 1 - at[None]
    scores = key[..., None, :] - decay[:, None, None] * distance
    own = key + inputs.bonus[channels].double()[:, None]
    scores = torch.where(torch.eye(n, dtype=torch.bool, device=key.device), own[..., None], scores)
    scores = scores.masked_fill(~_past(n, key.device), float("-inf"))
    return torch.softmax(scores, -1).float()
