"""Llama, in some of whose layers a memory stands in place of the MLP."""

from __future__ import annotations

from torch import nn
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaMLP

from workbench.memory_lm.configuration import (
    DOMAIN_ADAPTERS,
    EXPERT_RETRIEVAL,
    PRODUCT_KEYS,
    MemoryLMConfig,
)
from workbench.memory_lm.domain_adapters import DomainAdapters
from workbench.memory_lm.expert_retrieval import ExpertRetrieval
from workbench.memory_lm.product_keys import ProductKeyed, ProductKeyMemory


class MemoryLMForCausalLM(LlamaForCausalLM):
    """The model with logits."""

    config_class = MemoryLMConfig

    def __init__(self, config: MemoryLMConfig) -> None:
        super().__init__(config)
        for layer in config.memory_layers:
            self.model.layers[layer].mlp = _memory(config)
        self.post_init()
        # The decoder inside initializes its own layers, and does not know of memories.
        for module in self.modules():
            if isinstance(module, ProductKeyed):
                module.start()


def _memory(config: MemoryLMConfig) -> nn.Module:
    if config.memory == PRODUCT_KEYS:
        return ProductKeyMemory(config)
    if config.memory == EXPERT_RETRIEVAL:
        return ExpertRetrieval(config)
    if config.memory == DOMAIN_ADAPTERS:
        return DomainAdapters(config)
    wide = MemoryLMConfig(**{**config.to_dict(), "intermediate_size": config.memory_mlp})
    return LlamaMLP(wide)
