"""Mistral with a memory of all tokens in place of some MLPs."""

from __future__ import annotations

from transformers import MistralForCausalLM

from workbench.memory_lm.nearest_config import NearestLMConfig
from workbench.memory_lm.nearest_tokens import NearestTokenMemory
from workbench.memory_lm.reads_at_once import ReadsAtOnce


class NearestLMForCausalLM(ReadsAtOnce, MistralForCausalLM):
    """The model with logits. It reads a text at once: no cache holds its memory."""

    config_class = NearestLMConfig

    def __init__(self, config: NearestLMConfig) -> None:
        super().__init__(config)
        for layer in config.memory_layers:
            self.model.layers[layer].mlp = NearestTokenMemory(config)
        self.post_init()
