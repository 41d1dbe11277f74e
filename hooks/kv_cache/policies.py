"""Which positions a cache keeps: the scores of the literature, each a pure function.

A policy is a function of what one layer holds of a text:

    score(keys, values, queries, surprisal) -> (kv_head, pos), the highest are kept

`keys` (kv_head, pos, d_head) and `values` (kv_head, pos, d_value) are those of the cache; `queries`
(head, query, d_head) those of the last tokens, the last one at the last position, already times the
scale, so that queries times keys are the scores of attention; `surprisal` (pos,) is −ln p of every
token in nats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from hooks.kv_cache.attention_received import attention_received
from hooks.kv_cache.budget import SINKS
from hooks.kv_cache.rotary import Rotary

Score = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

SNAP_WINDOW, SNAP_POOL = 32, 5
FUTURE = 512
"""Positions over which expected attention turns the mean query."""


@dataclass(frozen=True)
class CachePolicy:
    """A rule for what a cache keeps.

    Args:
        name: as people write it.
        score: see the module's docstring.
        about: one line, with the paper.
        last: how many of the last queries it looks at; None for all of them, 0 for none.
        adds: whether scores of some queries and of others add up to those of both.
        turns: whether `score` also takes `turn`, the layer's `Rotary` or None.
        sinks: first positions kept whatever their score.
        recent: share of the budget for the newest positions.
    """

    name: str
    score: Callable[..., Tensor]
    about: str
    last: int | None = None
    adds: bool = False
    turns: bool = False
    sinks: int = SINKS
    recent: float = 0.0

    @property
    def asks_queries(self) -> bool:
        """Whether a question that is in view can change its scores."""
        return self.last != 0


def by_kv_head(scores: Float[Tensor, "head pos"], n_kv: int) -> Float[Tensor, "kv_head pos"]:
    """Scores of query heads as those of the keys that they share: their mean."""
    shared: Tensor = scores.view(n_kv, -1, scores.shape[-1]).mean(1)
    return shared


def newest(
    keys: Float[Tensor, "kv_head pos d_head"],
    values: Float[Tensor, "kv_head pos d_value"],
    queries: Float[Tensor, "head query d_head"],
    surprisal: Float[Tensor, " pos"],
) -> Float[Tensor, "kv_head pos"]:
    """The position itself: the newest are kept."""
    at = torch.arange(keys.shape[1], device=keys.device, dtype=torch.float32)
    return at.expand(keys.shape[0], -1)


def heavy_hitters(
    keys: Float[Tensor, "kv_head pos d_head"],
    values: Float[Tensor, "kv_head pos d_value"],
    queries: Float[Tensor, "head query d_head"],
    surprisal: Float[Tensor, " pos"],
) -> Float[Tensor, "kv_head pos"]:
    """Attention received, summed over all queries (H2O, Zhang et al. 2023)."""
    return by_kv_head(attention_received(keys, queries), keys.shape[0])


def snap(
    keys: Float[Tensor, "kv_head pos d_head"],
    values: Float[Tensor, "kv_head pos d_value"],
    queries: Float[Tensor, "head query d_head"],
    surprisal: Float[Tensor, " pos"],
) -> Float[Tensor, "kv_head pos"]:
    """Mean attention from the last queries, pooled over neighbours; the window itself is kept
    (SnapKV, Li et al. 2024).
    """
    window = min(SNAP_WINDOW, keys.shape[1] - 1)
    got = attention_received(keys, queries[:, -window:])[:, :-window] / window
    pooled = functional.avg_pool1d(got[None], SNAP_POOL, 1, SNAP_POOL // 2)[0]
    scores = by_kv_head(pooled, keys.shape[0])
    return functional.pad(scores, (0, window), value=float(scores.max()) + 1)


def last_query(
    keys: Float[Tensor, "kv_head pos d_head"],
    values: Float[Tensor, "kv_head pos d_value"],
    queries: Float[Tensor, "head query d_head"],
    surprisal: Float[Tensor, " pos"],
) -> Float[Tensor, "kv_head pos"]:
    """Attention of the last query, mean over all heads of the layer (TOVA, Oren et al. 2024)."""
    return attention_received(keys, queries[:, -1:]).mean(0).expand(keys.shape[0], -1)


def small_keys(
    keys: Float[Tensor, "kv_head pos d_head"],
    values: Float[Tensor, "kv_head pos d_value"],
    queries: Float[Tensor, "head query d_head"],
    surprisal: Float[Tensor, " pos"],
) -> Float[Tensor, "kv_head pos"]:
    """Keys of small norm (Devoto et al. 2024)."""
    norms: Tensor = keys.float().norm(dim=-1)
    return -norms


def unlike_keys(
    keys: Float[Tensor, "kv_head pos d_head"],
    values: Float[Tensor, "kv_head pos d_value"],
    queries: Float[Tensor, "head query d_head"],
    surprisal: Float[Tensor, " pos"],
) -> Float[Tensor, "kv_head pos"]:
    """Keys whose direction is unlike the mean direction (KeyDiff, Park et al. 2025)."""
    mean = functional.normalize(keys.float(), dim=-1).mean(1, keepdim=True)
    alike: Tensor = functional.cosine_similarity(keys.float(), mean, dim=-1)
    return -alike


def expected(
    keys: Float[Tensor, "kv_head pos d_head"],
    values: Float[Tensor, "kv_head pos d_value"],
    queries: Float[Tensor, "head query d_head"],
    surprisal: Float[Tensor, " pos"],
    turn: Rotary | None,
) -> Float[Tensor, "kv_head pos"]:
    """Attention that future queries are expected to give, times the norm of the value (Expected
    Attention, Devoto et al. 2025).

    Future queries have the mean and covariance of those seen, before positions, turned to the next
    512 positions (the mean turn). Sinks are left out, and kept.
    """
    n_keys, n = keys.shape[1], queries.shape[1]
    skip = min(SINKS, n_keys - 1)
    plain = queries.float()
    if turn is not None:
        plain = turn.turn(plain, -torch.arange(n_keys - n, n_keys, device=keys.device))
    plain = plain[:, min(skip, n - 1) :]
    mean = plain.mean(1)
    centred = plain - mean[:, None]
    spread = centred.transpose(1, 2) @ centred / centred.shape[1]
    if turn is not None:
        rotated = 2 * len(turn.angles)
        by = torch.eye(keys.shape[2], device=keys.device)
        by[:rotated, :rotated] = turn.mean_turn(n_keys, FUTURE)
        mean, spread = mean @ by.T, by @ spread @ by.T
    rest = keys.float()[:, skip:].repeat_interleave(len(mean) // len(keys), 0)
    scores = torch.einsum("hpd,hd->hp", rest, mean)
    scores = scores + torch.einsum("hpd,hde,hpe->hp", rest, spread, rest) / 2
    found = by_kv_head(scores.softmax(-1), keys.shape[0]) * values.float()[:, skip:].norm(dim=-1)
    return functional.pad(found, (skip, 0), value=float(found.max()) + 1)


def surprising(
    keys: Float[Tensor, "kv_head pos d_head"],
    values: Float[Tensor, "kv_head pos d_value"],
    queries: Float[Tensor, "head query d_head"],
    surprisal: Float[Tensor, " pos"],
) -> Float[Tensor, "kv_head pos"]:
    """Surprising tokens, the same for all layers and heads (SirLLM, Yao et al. 2024)."""
    return surprisal.float().expand(keys.shape[0], -1)


def drawn(
    keys: Float[Tensor, "kv_head pos d_head"],
    values: Float[Tensor, "kv_head pos d_value"],
    queries: Float[Tensor, "head query d_head"],
    surprisal: Float[Tensor, " pos"],
) -> Float[Tensor, "kv_head pos"]:
    """At random, drawn anew for each layer and head; the same keys draw the same."""
    # A seed of the keys themselves: a pure function, and layers differ.
    seed = int(keys[:, -1].float().abs().sum().mul(1e4)) % (2**31)
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(keys.shape[:2], generator=generator).to(keys.device)


BUILT_IN: dict[str, CachePolicy] = {
    policy.name: policy
    for policy in (
        CachePolicy(
            "streaming", newest, "the first tokens and the newest, positions as they were"
            " (StreamingLLM, Xiao et al. 2024)", last=0,
        ),
        CachePolicy(
            "h2o", heavy_hitters, "attention received so far, and the newest half"
            " (H2O, Zhang et al. 2023)", adds=True, recent=0.5,
        ),
        CachePolicy(
            "snapkv", snap, "attention from the last 32 tokens (SnapKV, Li et al. 2024)",
            last=SNAP_WINDOW,
        ),
        CachePolicy(
            "tova", last_query, "attention from the last token (TOVA, Oren et al. 2024)", last=1,
        ),
        CachePolicy(
            "key-norm", small_keys, "keys of small norm (Devoto et al. 2024)", last=0,
        ),
        CachePolicy(
            "keydiff", unlike_keys, "keys unlike the mean key (KeyDiff, Park et al. 2025)", last=0,
        ),
        CachePolicy(
            "expected", expected, "attention that later tokens are expected to give"
            " (Expected Attention, Devoto et al. 2025)", turns=True,
        ),
        CachePolicy(
            "sirllm", surprising, "surprising tokens, the same in all heads"
            " (SirLLM, Yao et al. 2024)", last=0,
        ),
        CachePolicy("random", drawn, "at random: the control", last=0),
        CachePolicy("recency", newest, "the newest alone, without the first tokens", last=0,
                    sinks=0),
    )
}  # fmt: skip
