"""How much attention keys get from queries, computed in blocks of queries."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_CELLS = 4_000_000  # of a pattern that exist at once


def attention_received(
    keys: Float[Tensor, "kv_head pos d_head"],
    queries: Float[Tensor, "head query d_head"],
) -> Float[Tensor, "head pos"]:
    """Attention that every key gets, summed over the queries; softmax of scaled products.

    Args:
        queries: those of the last tokens, times the scale of the scores: the last query is the
            last key's own, and none sees a later key.
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
        total[..., :last] += scores.softmax(-1).sum(2)
    return total.view(heads, n_keys)
