"""Mistral with a memory of all tokens in place of some MLPs."""

from __future__ import annotations

from typing import Any

from transformers import MistralForCausalLM

from workbench.memory_lm.nearest_config import NearestLMConfig
from workbench.memory_lm.nearest_tokens import NearestTokenMemory


class NearestLMForCausalLM(MistralForCausalLM):
    """The model with logits. It reads a text at once: no cache holds its memory."""

    config_class = NearestLMConfig

    def __init__(self, config: NearestLMConfig) -> None:
        super().__init__(config)
        for layer in config.memory_layers:
            self.model.layers[layer].mlp = NearestTokenMemory(config)
        self.post_init()

    def forward(self, *args: Any, past_key_values: Any = None, **more: Any) -> Any:
        """As other models of `transformers`.

        Raises:
            ValueError: a part of the text was read before; the memory would not hold it.
        """
        if past_key_values is not None and past_key_values.get_seq_length() > 0:
            raise ValueError(
                "this model reads a text at once: its memory is in no cache (use_cache=False)"
            )
        return super().forward(*args, past_key_values=past_key_values, **more)
