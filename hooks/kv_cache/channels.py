"""Which channels of the keys a cache needs (ThinK, Xu et al. 2024), and what leaving some out does
to the scores of attention.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hooks.kv_cache.context_memory import LayerMemory

WINDOW = 32
"""Last queries that channels are scored with, and newest keys that stay whole."""


def grouped_queries(memory: LayerMemory, window: int = WINDOW) -> Float[Tensor, "kv_head query e"]:
    """The last queries of all heads that share a key, one under the other."""
    n_kv, heads = memory.keys.shape[0], memory.queries.shape[0]
    last = memory.queries[:, -window:].float()
    return last.reshape(n_kv, heads // n_kv * last.shape[1], last.shape[2])


def channel_scores(memory: LayerMemory, window: int = WINDOW) -> Float[Tensor, "kv_head channel"]:
    """ThinK's: mean square of the last queries times mean square of the keys, per channel. Cross
    terms between channels are left out.
    """
    of_queries = grouped_queries(memory, window).pow(2).mean(1)
    return of_queries * memory.keys.float().pow(2).mean(1)


def without_channels(
    memory: LayerMemory, gone: Bool[Tensor, "kv_head channel"], whole: int = WINDOW
) -> LayerMemory:
    """Keys with some channels set to 0; the newest ones stay whole."""
    keys = memory.keys.clone()
    old = max(0, keys.shape[1] - whole)
    keys[:, :old] = keys[:, :old].masked_fill(gone[:, None], 0)
    return replace(memory, keys=keys)


def lowest(
    scores: Float[Tensor, "kv_head channel"], share: float
) -> Bool[Tensor, "kv_head channel"]:
    """The given share of channels with the lowest scores, rounded down."""
    n = int(share * scores.shape[1])
    order = scores.argsort(1)[:, :n]
    return torch.zeros_like(scores, dtype=torch.bool).scatter(1, order, True)


def low_rank(memory: LayerMemory, share: float, whole: int = WINDOW) -> LayerMemory:
    """Keys as the product of two matrices of the rank that as many channels would have: what gives
    the least error of the scores of the last queries (Eckart & Young), up to the keys that stay
    whole.
    """
    keys = memory.keys.float().clone()
    old = max(0, keys.shape[1] - whole)
    queries = grouped_queries(memory)
    rank = keys.shape[2] - int(share * keys.shape[2])
    for head in range(len(keys)):
        # Q K^T of rank r: with the queries' square root S, S K^T is cut to r singular values.
        values, vectors = torch.linalg.eigh(queries[head].T @ queries[head])
        root = vectors * values.clamp(min=0).sqrt()
        floor = values.max().clamp(min=1e-12) * 1e-6
        back = vectors / values.clamp(min=floor).sqrt()
        left, size, right = torch.linalg.svd(keys[head, :old] @ root, full_matrices=False)
        cut = (left[:, :rank] * size[:rank]) @ right[:rank]
        keys[head, :old] = cut @ back.T
    return replace(memory, keys=keys.to(memory.keys.dtype))


def score_error(
    memory: LayerMemory, changed: LayerMemory, window: int = WINDOW
) -> Float[Tensor, " kv_head"]:
    """‖Q Kᵀ − Q K′ᵀ‖ over ‖Q Kᵀ‖ for the last queries (Frobenius)."""
    queries = grouped_queries(memory, window)
    whole = queries @ memory.keys.float().transpose(1, 2)
    other = queries @ changed.keys.float().transpose(1, 2)
    off: Tensor = (whole - other).flatten(1).norm(dim=1)
    size: Tensor = whole.flatten(1).norm(dim=1)
    return off / size


def attention_divergence(
    memory: LayerMemory, changed: LayerMemory, window: int = WINDOW
) -> Float[Tensor, " kv_head"]:
    """KL divergence of the last queries' attention with changed keys from that without, in nats,
    mean over queries and heads that share a key.
    """
    n_kv, heads = memory.keys.shape[0], memory.queries.shape[0]
    n, past = min(window, memory.queries.shape[1]), memory.keys.shape[1]
    later = torch.arange(past, device=memory.keys.device) > torch.arange(
        past - n, past, device=memory.keys.device
    )[:, None]  # fmt: skip
    found = []
    for each in (memory, changed):
        scores = grouped_queries(memory, n) @ each.keys.float().transpose(1, 2) * memory.scaling
        scores = scores.view(n_kv, heads // n_kv, n, past).masked_fill(later, -torch.inf)
        found.append(scores.log_softmax(-1))
    whole, other = found
    apart = (whole.exp() * (whole - other)).masked_fill(later, 0.0)
    return apart.sum(-1).mean((1, 2))
