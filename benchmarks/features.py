"""Capture, encoding and counting of features, beside a plain forward pass over the same tokens."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import workbench as wb
from analyses.features.function_tokens import baselines, corpus
from analyses.features.function_tokens.scan import scan_windows
from benchmarks.measure import alternate, table
from hooks.features.sae import SKIP
from workbench.autoencoders import shipped
from workbench.progress import Progress

_TOKENS, _CONTEXT, _AT_ONCE = 4096, 128, 16


def tables(model: Any, repeats: int) -> list[str]:
    """One table: the whole stage of `function-tokens` that reads, and a forward pass as the
    model itself does it.
    """
    ids = corpus.cut(model, "", _TOKENS, _CONTEXT, 0).ids
    features = [
        wb.open_features(name, model)
        for name, entry in shipped().items()
        if entry.card["model"] == model.card.name
    ]
    random = baselines.random_directions(
        features, [f.card["l0"] for f in features], baselines.vectors(model, features, ids[:16]), 0
    )
    mixed, function = corpus.shuffled(ids, SKIP, 0), np.arange(model.card.d_vocab) < 100

    def plain() -> None:
        with torch.no_grad():
            for start in range(0, len(ids), _AT_ONCE):
                model.module(
                    **model.batch(ids[start : start + _AT_ONCE].tolist()).kwargs(), use_cache=False
                )

    def counted() -> None:
        scan_windows(model, features, random, ids, mixed, function, None, Progress())

    places = ", ".join(f.place.name for f in features)
    times = alternate(
        {"plain forward pass": plain, "capture, encode and count, with controls": counted}, repeats
    )
    return table(
        f"Features: {_TOKENS:,} tokens in windows of {_CONTEXT}; {places}",
        times,
        "plain forward pass",
    )
