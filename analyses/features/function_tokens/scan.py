"""One pass over the text: the graph of every autoencoder with its controls, examples of every
feature, and losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from analyses.features.function_tokens.baselines import RandomDirections
from analyses.features.function_tokens.graph import Graph, TokenFeatureEdges
from analyses.features.function_tokens.top_examples import TopExamples
from hooks.features.sae import SAE, SKIP
from hooks.features.sparse_activations import EncodedWindows, Sparse, read, windows_at_once

if TYPE_CHECKING:
    from torch import Tensor

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

CLOSE = 5
"""Of so many forward passes one is looked at closely: losses, and what is active again."""
DISTANCES = range(1, 9)
"""Tokens from a content token to those at which its features may be active again."""
_CHUNK = 8192  # features that are compared at once


@dataclass(frozen=True)
class ScanResult:
    """What one autoencoder showed.

    Attributes:
        edges: the graph; mixed: the same with the tokens of each window in another order; chance:
            that of random directions.
        strongest: (activation, token) of each feature's examples, (feature, example); token counts
            from the first window.
        histogram: (feature, bin).
        again: share of a content token's features that are active again, (window, distance, class
            of the later token: 0 content, 1 function); NaN where no window was looked at or has no
            such pair. by_chance: the same, the later token taken from another window of the same
            forward pass.
    """

    features: SAE
    edges: TokenFeatureEdges
    mixed: TokenFeatureEdges
    chance: TokenFeatureEdges
    strongest: tuple[np.ndarray, np.ndarray]
    histogram: np.ndarray
    again: np.ndarray
    by_chance: np.ndarray


def scan_windows(
    model: InstrumentedModel,
    features: Sequence[SAE],
    chance: Sequence[RandomDirections],
    ids: np.ndarray,
    mixed: np.ndarray,
    function: np.ndarray,
    folder: Path | None,
    progress: Progress,
) -> tuple[list[ScanResult], np.ndarray]:
    """Read the windows once.

    Args:
        chance: random directions, one set for each autoencoder.
        mixed: the windows in another order (`corpus.shuffled`).
        function: which types are function tokens, (type,) bool.
        folder: where what is active is kept, or lies already.

    Returns:
        What each autoencoder showed, and the losses, (window, pos) in nats, NaN where they were not
        measured.
    """
    device, (n, length) = model.device, ids.shape
    real = [Graph(f.width) for f in features]
    other = [Graph(f.width) for f in features]
    random = [Graph(f.width) for f in features]
    galleries = [TopExamples(f.width, length, device) for f in features]
    again = [np.full((n, len(DISTANCES), 2), np.nan) for _ in features]
    by_chance = [np.full((n, len(DISTANCES), 2), np.nan) for _ in features]
    losses = np.full(ids.shape, np.nan, np.float32)
    moved = torch.as_tensor(mixed.astype(np.int64), device=device)
    is_function = torch.as_tensor(function, device=device)
    for batch in read(
        model, [*features, *chance], ids, losses_every=CLOSE, folder=folder, progress=progress
    ):
        rows = slice(batch.first, batch.first + len(batch.ids))
        types, instead = batch.ids.flatten(), moved[rows].flatten()
        losses[rows] = batch.losses.cpu().numpy()
        close = torch.isfinite(batch.losses).any(1).nonzero().flatten()
        for k, encoder in enumerate(features):
            one = batch.active[k]
            real[k].add(types[one.token], one.feature, one.value)
            other[k].add(instead[one.token], one.feature, one.value)
            galleries[k].add(one.token + batch.first * length, one.feature, one.value)
            drawn = batch.active[len(features) + k]
            random[k].add(types[drawn.token], drawn.feature, drawn.value)
            for at in close.split(windows_at_once(length)):
                found = _again(one, batch, at, is_function, encoder.width)
                where = (at + batch.first).cpu().numpy()
                again[k][where], by_chance[k][where] = found
    seen = [
        ScanResult(
            f,
            real[k].edges(),
            other[k].edges(),
            random[k].edges(),
            g.strongest,
            g.histogram,
            again[k],
            by_chance[k],
        )
        for k, (f, g) in enumerate(zip(features, galleries, strict=True))
    ]
    return seen, losses


def graph_alone(
    model: InstrumentedModel,
    chance: Sequence[RandomDirections],
    ids: np.ndarray,
    progress: Progress,
) -> list[TokenFeatureEdges]:
    """The graphs of random directions in a model."""
    graphs = [Graph(c.width) for c in chance]
    for batch in read(model, chance, ids, progress=progress):
        types = batch.ids.flatten()
        for graph, one in zip(graphs, batch.active, strict=True):
            graph.add(types[one.token], one.feature, one.value)
    return [graph.edges() for graph in graphs]


def _again(
    one: Sparse, batch: EncodedWindows, at: Tensor, function: Tensor, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """(real, by chance) of `Seen` for the windows `at` of a batch, (window, distance, class)."""
    length = batch.ids.shape[1]
    place = torch.full((len(batch.ids),), -1, device=at.device)
    place[at] = torch.arange(len(at), device=at.device)
    window, pos = place[one.token // length], one.token % length
    shared = torch.zeros(len(at), length, length, dtype=torch.float32, device=at.device)
    crossed, counts = torch.zeros_like(shared), torch.zeros(len(at), length, device=at.device)
    for start in range(0, width, _CHUNK):
        mask = (window >= 0) & (one.feature >= start) & (one.feature < start + _CHUNK)
        active = torch.zeros(
            len(at), length, min(_CHUNK, width - start), dtype=torch.float32, device=at.device
        )
        active[window[mask], pos[mask], one.feature[mask] - start] = 1
        shared += active @ active.mT
        crossed += active @ active.roll(1, 0).mT
        counts += active.sum(-1)
    is_function = function[batch.ids[at]]
    results = []
    for overlap, later in ((shared, is_function), (crossed, is_function.roll(1, 0))):
        found = np.full((len(at), len(DISTANCES), 2), np.nan)
        if overlap is crossed and len(at) == 1:
            results.append(found)  # there is no other window
            continue
        for d, distance in enumerate(DISTANCES):
            share = overlap.diagonal(distance, 1, 2) / counts[:, :-distance]
            usable = ~is_function[:, :-distance] & (counts[:, :-distance] > 0)
            usable[:, :SKIP] = False
            for kind in (0, 1):
                these = usable & (later[:, distance:] == bool(kind))
                sums = torch.where(these, share, 0.0).sum(1) / these.sum(1)
                found[:, d, kind] = sums.cpu().numpy()
        results.append(found)
    return results[0], results[1]
