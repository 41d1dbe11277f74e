"""Capture, encoding and counting of features, beside a plain forward pass over the same tokens."""

from __future__ import annotations

from collections.abc import Callable
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
PLAIN, COUNTED = "plain forward pass", "capture, encode and count, with controls"


def tables(model: Any, repeats: int) -> list[str]:
    """One table: the whole stage of `function-tokens` that reads, and a forward pass as the
    model itself does it.
    """
    timed, places = jobs(model)
    return table(
        f"Features: {_TOKENS:,} tokens in windows of {_CONTEXT}; {places}",
        alternate(timed, repeats),
        PLAIN,
    )


def jobs(model: Any) -> tuple[dict[str, Callable[[], object]], str]:
    """What is timed, by name, and the names of the places."""
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

    return {PLAIN: plain, COUNTED: counted}, ", ".join(f.place.name for f in features)
