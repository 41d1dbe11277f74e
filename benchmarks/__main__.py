"""The hook layer beside TransformerLens and nnsight: medians over repeats, ratios from one run.

    python -m benchmarks [--repeats 5] [--markdown FILE]

Absolute times depend on the machine and on what else it does; the ratios are what to read.
"""

from __future__ import annotations

import argparse
import copy
import platform
import statistics
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import torch

import workbench as wb
from hooks import sweep
from workbench import paths
from workbench.runs import versions

TEXT = "The capital city of Norway is Lima. Nobody had expected that, least of all the people of the two towns. "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--markdown", help="write the tables there too")
    asked = parser.parse_args()
    model = wb.load()
    lines = [
        f"Measured {date.today()} on {platform.machine()}, {torch.get_num_threads()} threads, float32, {model.card.name};"
        f" torch {versions()['torch']}, transformers {versions()['transformers']}.",
        "",
        *capture_table(model, asked.repeats),
        "",
        *sweep_table(model, asked.repeats),
    ]
    print("\n".join(lines))
    if asked.markdown:
        with open(asked.markdown, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


def capture_table(model: Any, repeats: int) -> list[str]:
    """Capture of z and resid_post at all layers of a 256-token prompt, against a plain forward pass."""
    from nnsight import TransformersModel

    ids = _prompt(model, 256)
    text = model.tokenizer.decode(ids)
    tokens = torch.tensor([ids])
    peer = TransformersModel(copy.deepcopy(model.module), task="text-generation", tokenizer=model.tokenizer)

    @torch.no_grad()
    def plain() -> None:
        model.module(tokens, use_cache=False, logits_to_keep=1)

    def ours() -> None:
        wb.capture(model, text, sites=["z", "resid_post"])

    @torch.no_grad()
    def nnsight() -> None:
        with peer.trace(text, logits_to_keep=1):
            kept = []
            for layer in peer.model.layers:
                kept.append(layer.self_attn.o_proj.input.save())
                kept.append(layer.output.save())

    times = _alternate({"plain forward": plain, "memory-workbench": ours, "nnsight": nnsight}, repeats)
    return _table("Capture of z and resid_post, 30 layers, 256 tokens", times, "plain forward")


def sweep_table(model: Any, repeats: int) -> list[str]:
    """Zero every head at the last position, one at a time, against TransformerLens's hook loop."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoTokenizer

    folder = paths.cache_dir() / "models" / "smollm2-135m"
    peer = TransformerBridge.boot_transformers(
        str(folder), hf_model=copy.deepcopy(model.module), tokenizer=AutoTokenizer.from_pretrained(folder), device="cpu"
    )
    lines: list[str] = []
    for length in (32, 256):
        ids = _prompt(model, length)
        tokens = torch.tensor([ids])
        found: dict[str, torch.Tensor] = {}

        def ours(ids: list[int] = ids, found: dict[str, torch.Tensor] = found) -> None:
            found["ours"] = sweep.at_last(model, ids, [5, 77], [sweep.Variant("zero", None, direct=False)])[0]

        @torch.no_grad()
        def loop(tokens: torch.Tensor = tokens, found: dict[str, torch.Tensor] = found) -> None:
            base = peer(tokens)[0, -1, [5, 77]]
            effects = torch.zeros(model.n_layers, model.n_heads, 2)
            for layer in range(model.n_layers):
                for head in range(model.n_heads):

                    def zero(z: torch.Tensor, hook: Any, head: int = head) -> torch.Tensor:
                        z[:, -1, head] = 0
                        return z

                    hooks = [(f"blocks.{layer}.attn.hook_z", zero)]
                    effects[layer, head] = peer.run_with_hooks(tokens, fwd_hooks=hooks)[0, -1, [5, 77]] - base
            found["loop"] = effects

        times = _alternate({"memory-workbench": ours}, repeats) | _alternate({"TransformerLens loop": loop}, 1, warm=False)
        gap = float((found["ours"] - found["loop"]).abs().max())
        lines += _table(f"All {len(model.heads())} heads at the last position, {length} tokens", times, "memory-workbench")
        lines += ["", f"Largest difference between the two: {gap:.1e} logits.", ""]
    return lines


def _prompt(model: Any, length: int) -> list[int]:
    ids = model.tokens(TEXT * (length // 10))
    return ids[:length]


def _alternate(jobs: dict[str, Callable[[], None]], repeats: int, *, warm: bool = True) -> dict[str, list[float]]:
    """Times in seconds; the jobs take turns, so that a slow moment of the machine hits all of them."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for n in range(repeats + warm):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if n >= warm:
                times[name].append(time.perf_counter() - start)
    return times


def _table(title: str, times: dict[str, list[float]], unit: str) -> list[str]:
    base = statistics.median(times[unit])
    rows = [f"### {title}", "", f"| what | median s | × {unit} | runs |", "| --- | ---: | ---: | ---: |"]
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        rows.append(f"| {name} | {middle:.3f} | {middle / base:.2f} | {len(seconds)} |")
    return rows


if __name__ == "__main__":
    main()
