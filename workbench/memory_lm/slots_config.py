"""The settings of a model that writes what it reads into gated slots."""

from __future__ import annotations

from typing import Any

from transformers import MistralConfig


class GatedSlotsConfig(MistralConfig):
    """Mistral, whose attention sees a window, with gated slots in some layers.

    Args:
        memory_layers: numbers of the layers whose MLP is a memory.
        memory_slots: vectors that are kept.
        memory_heads: that read them.
        memory_chunk: tokens that read the slots as they stood before them, and write together.
        more: of `MistralConfig`; `sliding_window` is how far back attention sees.
    """

    model_type = "workbench_gated_slots_lm"

    def __init__(
        self,
        memory_layers: list[int] | None = None,
        memory_slots: int = 16,
        memory_heads: int = 2,
        memory_chunk: int = 2,
        **more: Any,
    ) -> None:
        self.memory_layers = [1] if memory_layers is None else memory_layers
        self.memory_slots = memory_slots
        self.memory_heads = memory_heads
        self.memory_chunk = memory_chunk
        super().__init__(**{"use_cache": False, **more})
