"""Capture beside a plain forward pass, TransformerLens's cache and nnsight's trace.

python -m benchmarks capture
"""

from __future__ import annotations

import copy
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

import torch

import workbench as wb
from benchmarks.measure import alternate, prompt, table
from hooks.sites import SITES, Place
from workbench import paths

LENGTH = 256


def tables(model: Any, repeats: int) -> list[str]:
    """z and resid_post at all layers, in memory and to disk; then every site that
    TransformerLens caches.
    """
    ids = prompt(model, LENGTH)
    return [*_two_sites(model, ids, repeats), "", *_every_site(model, ids, repeats)]


def _two_sites(model: Any, ids: list[int], repeats: int) -> list[str]:
    from nnsight import TransformersModel

    text, tokens = model.tokenizer.decode(ids), torch.tensor([ids], device=model.device)
    peer = TransformersModel(
        copy.deepcopy(model.module), task="text-generation", tokenizer=model.tokenizer
    )
    sites = ["z", "resid_post"]

    @torch.no_grad()
    def plain() -> object:
        return model.module(tokens, use_cache=False, logits_to_keep=1)

    @torch.no_grad()
    def nnsight() -> None:
        with peer.trace(text, logits_to_keep=1):
            kept = []
            for layer in peer.model.layers:
                kept.append(layer.self_attn.o_proj.input.save())
                kept.append(layer.output.save())

    with tempfile.TemporaryDirectory() as folder:
        fresh = (Path(folder) / str(n) for n in count())
        jobs = {
            "plain forward": plain,
            "memory-workbench": lambda: wb.capture(model, text, sites=sites),
            "memory-workbench, streamed to disk": lambda: wb.capture(
                model, text, sites=sites, out=next(fresh)
            ),
            "nnsight": nnsight,
        }
        times = alternate(jobs, repeats)
    return table(
        f"Capture of z and resid_post, {model.n_layers} layers, {len(ids)} tokens",
        times,
        "plain forward",
    )


def _every_site(model: Any, ids: list[int], repeats: int) -> list[str]:
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoTokenizer

    folder = paths.cache_dir() / "models" / model.card.name
    own, tokenizer = copy.deepcopy(model.module), AutoTokenizer.from_pretrained(folder)
    peer = TransformerBridge.boot_transformers(
        str(folder), hf_model=own, tokenizer=tokenizer, device=str(model.device)
    )
    tokens = torch.tensor([ids], device=model.device)
    with torch.no_grad():
        cached = set(peer.run_with_cache(tokens)[1])
    shared = [
        short
        for short, layers in model.sites.items()
        if all(
            Place(SITES[short], layer).name in cached
            for layer in (layers if layers is not None else [None])
        )
    ]

    @torch.no_grad()
    def cache() -> object:
        return peer.run_with_cache(tokens)

    jobs = {
        "memory-workbench": lambda: wb.capture(model, [ids], sites=shared),
        "TransformerLens run_with_cache": cache,
    }
    times = alternate(jobs, repeats)
    title = f"All {len(shared)} sites that both name, {len(ids)} tokens"
    return [
        *table(title, times, "memory-workbench"),
        "",
        (
            f"Sites: {', '.join(shared)}. `run_with_cache` is asked for everything, as its"
            " documentation shows; it caches"
        ),
        f"{len(cached)} places, of which some are other names for the same tensor.",
    ]
