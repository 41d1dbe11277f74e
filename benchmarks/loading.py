"""Opening the default model from the cache, beside transformers alone on the same folder."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.measure import alternate, table
from workbench import models


def tables(model: Any, repeats: int) -> list[str]:
    """One table: `models.load_weights`, which also checks what it opens, and `from_pretrained`."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = next(entry.path for entry in models.listing() if entry.name == model.card.source)

    def alone() -> Any:
        return AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32
        ), AutoTokenizer.from_pretrained(folder)

    def ours() -> Any:
        return models.load_weights(model.card.source, device="cpu")

    times = alternate({"transformers": alone, "memory-workbench": ours}, repeats)
    return table("Opening the default model", times, "transformers")
