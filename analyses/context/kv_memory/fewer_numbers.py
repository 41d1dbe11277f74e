"""Parts `channels` and `bits`: the whole context stays, its keys and values in fewer numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.context.kv_memory.measured_rows import scores_of
from hooks.kv_cache.changed_keys import with_layers
from hooks.kv_cache.channels import (
    attention_divergence,
    channel_scores,
    low_rank,
    lowest,
    score_error,
    without_channels,
)
from hooks.kv_cache.fewer_bits import relative_error, round_memory, rounded_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from analyses.context.kv_memory.recall_texts import RecallText
    from hooks.kv_cache.context_memory import LayerMemory
    from hooks.kv_cache.fewer_bits import Grouping

PRUNED = (0.2, 0.4, 0.6, 0.8)
THINK, AT_RANDOM, TRUNCATED = METHODS = ("ThinK", "random channels", "best truncation")
BITS = (8, 4, 2)
GROUPINGS: tuple[Grouping, ...] = ("kivi", "channel")
TEXTS = 6
"""Contexts whose caches are changed, at most: each change is a pass of its own."""


@dataclass
class ChannelMeasures:
    """What pruning channels gave: rows, and which channels each context would keep."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    scores: list[np.ndarray] = field(default_factory=list)  # (layer, kv_head, channel)


def prune(text: RecallText, into: ChannelMeasures) -> None:
    """One context with some channels of its keys gone, chosen in three ways."""
    generator = torch.Generator().manual_seed(text.number)
    scores = {layer: channel_scores(m) for layer, m in text.memory.layers.items()}
    if len({s.shape for s in scores.values()}) == 1:
        into.scores.append(torch.stack(list(scores.values())).cpu().numpy())
    _changed(text, "whole keys", 0.0, lambda _, memory: memory, into.rows)

    for share in PRUNED:
        for method in METHODS:
            change = partial(_cut, scores, generator, method, share)
            _changed(text, method, share, change, into.rows)


def _cut(
    scores: dict[int, torch.Tensor],
    generator: torch.Generator,
    method: str,
    share: float,
    layer: int,
    memory: LayerMemory,
) -> LayerMemory:
    """A layer's keys without a share of their channels."""
    if method == TRUNCATED:
        return low_rank(memory, share)
    of_layer = scores[layer]
    if method == AT_RANDOM:
        of_layer = torch.rand(of_layer.shape, generator=generator).to(of_layer.device)
    return without_channels(memory, lowest(of_layer, share))


def _changed(
    text: RecallText,
    method: str,
    share: float,
    change: Callable[[int, LayerMemory], LayerMemory],
    rows: list[dict[str, Any]],
) -> None:
    """The questions over changed keys, and how far scores and attention are off."""
    memory = with_layers(text.memory, change)
    pairs = [(text.memory.layers[layer], memory.layers[layer]) for layer in memory.layers]
    error = torch.cat([score_error(*pair) for pair in pairs]).mean()
    apart = torch.cat([attention_divergence(*pair) for pair in pairs]).mean()
    for number, score in enumerate(_asked(text, memory)):
        rows.append(
            {"context": text.number, "question": number, "method": method, "share": share,
             "error": float(error), "divergence": float(apart), "exact": score.exact,
             "logprob": score.logprob}
        )  # fmt: skip


def _asked(text: RecallText, memory: Any) -> list[Any]:
    return scores_of(memory, [None] * len(text.questions), text.questions)


def overlap(scores: list[np.ndarray], share: float = 0.4) -> tuple[float, float]:
    """How far two contexts keep the same channels: of the channels kept by one, the share that the
    other keeps too, mean over pairs and heads; and what chance gives. NaN for one context.
    """
    if len(scores) < 2:
        return float("nan"), float("nan")
    n = scores[0].shape[-1]
    gone = int(share * n)
    kept = [np.argsort(s, axis=-1)[..., gone:] for s in scores]
    masks = np.zeros((len(kept), *scores[0].shape), bool)
    for mask, which in zip(masks, kept, strict=True):
        np.put_along_axis(mask, which, True, axis=-1)
    pairs = [
        (masks[i] & masks[j]).sum(-1).mean() / (n - gone)
        for i in range(len(masks)) for j in range(i)
    ]  # fmt: skip
    return float(np.mean(pairs)), (n - gone) / n


def round_cache(text: RecallText, rows: list[dict[str, Any]]) -> None:
    """One context in a cache of few bits, with scales by token and by channel."""
    whole = sum(
        (m.keys.numel() + m.values.numel()) * 2 for m in text.memory.layers.values()
    )  # as if of 16 bits, which is what caches are kept in
    settings: list[tuple[int, Grouping]] = [(b, g) for b in BITS for g in GROUPINGS]
    _round(text, 16, None, whole, rows)
    for bits, grouping in settings:
        _round(text, bits, grouping, whole, rows)


def _round(
    text: RecallText,
    bits: int,
    grouping: Grouping | None,
    whole: int,
    rows: list[dict[str, Any]],
) -> None:
    memory = text.memory
    if grouping is not None:
        layers = {n: round_memory(m, bits, grouping) for n, m in memory.layers.items()}
        memory = with_layers(memory, lambda layer, _: layers[layer])
    pairs = [(text.memory.layers[layer], memory.layers[layer]) for layer in memory.layers]
    shared = {
        "of_keys": float(torch.cat([relative_error(a.keys, b.keys) for a, b in pairs]).mean()),
        "of_values": float(
            torch.cat([relative_error(a.values, b.values) for a, b in pairs]).mean()
        ),
        "divergence": float(torch.cat([attention_divergence(*p) for p in pairs]).mean()),
        "bytes": sum(rounded_bytes(m, bits) for m in text.memory.layers.values()) / whole
        if bits != 16 else 1.0,
    }  # fmt: skip
    for number, score in enumerate(_asked(text, memory)):
        rows.append(
            {"context": text.number, "question": number, "bits": bits,
             "grouping": grouping or "as it is",
             **shared, "exact": score.exact, "logprob": score.logprob}
        )  # fmt: skip
