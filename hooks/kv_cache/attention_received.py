"""How much attention keys get from queries, computed in blocks of queries."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_CELLS = 4_000_000  # of a pattern that exist at once


def attention_received(
    keys: Float[Tensor, "kv_head pos d_head"],
    queries: Float[Tensor, "head query d_head"],
    window: int | None = None,
) -> Float[Tensor, "head pos"]:
    """Attention that every key gets, summed over the queries; softmax of scaled products.

    Args:
        queries: those of the last tokens, times the scale of the scores: the last query is the
            last key's own, and none sees a later key.
        window: how many keys a query sees, its own included; all by default.
    """
    heads, n, _ = queries.shape
    n_kv, n_keys, _ = keys.shape
    transposed = keys.float().transpose(1, 2)
    at = torch.arange(n_keys, device=keys.device)
    total = keys.new_zeros(n_kv, heads // n_kv, n_keys, dtype=torch.float32)
    step = max(1, _CELLS // (heads * n_keys))
    for first in range(0, n, step):
        some = queries[:, first : first + step].float()
        last = n_keys - n + first + some.shape[1]  # keys that the newest of these may see
        scores = some.reshape(n_kv, -1, some.shape[-1]) @ transposed[..., :last]
        scores = scores.view(n_kv, heads // n_kv, some.shape[1], last)
        own = torch.arange(n_keys - n + first, last, device=keys.device)
        scores.masked_fill_(at[:last] > own[:, None], -torch.inf)
        if window is not None:
            scores.masked_fill_(at[:last] <= own[:, None] - window, -torch.inf)
        total[..., :last] += scores.softmax(-1).sum(2)
    return total.view(heads, n_keys)


def attention_entropy(
    keys: Float[Tensor, "kv_head pos d_head"],
    queries: Float[Tensor, "head some d_head"],
    at: list[int],
) -> Float[Tensor, " some"]:
    """Entropy of attention from queries at some positions, in nats; mean over heads.

    Args:
        queries: times the scale of the scores.
        at: where each query stands; it sees no later key.
    """
    n_kv = keys.shape[0]
    found = []
    for n, pos in enumerate(at):
        query = queries[:, n].float().reshape(n_kv, -1, keys.shape[2])
        logp = (query @ keys[:, : pos + 1].float().transpose(1, 2)).log_softmax(-1)
        found.append(-(logp.exp() * logp).sum(-1).mean())
    return torch.stack(found)
