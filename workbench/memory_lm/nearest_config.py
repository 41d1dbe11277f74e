"""The settings of a model that reads the nearest of all earlier tokens."""

from __future__ import annotations

from typing import Any

from transformers import MistralConfig


class NearestLMConfig(MistralConfig):
    """Mistral, whose attention sees a window, with a memory of all tokens in some layers.

    Args:
        memory_layers: numbers of the layers whose MLP is a memory.
        memory_heads: of the memory.
        memory_reads: tokens that each head reads.
        more: of `MistralConfig`; `sliding_window` is also how far back a token must lie to be read
            from the memory.
    """

    model_type = "workbench_nearest_lm"

    def __init__(
        self,
        memory_layers: list[int] | None = None,
        memory_heads: int = 2,
        memory_reads: int = 4,
        **more: Any,
    ) -> None:
        self.memory_layers = [1] if memory_layers is None else memory_layers
        self.memory_heads = memory_heads
        self.memory_reads = memory_reads
        super().__init__(**{"use_cache": False, **more})
