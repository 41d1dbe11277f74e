"""The settings of a model with memory modules."""

from __future__ import annotations

from typing import Any

from transformers import LlamaConfig

PRODUCT_KEYS, WIDE_MLP, EXPERT_RETRIEVAL, DOMAIN_ADAPTERS = KINDS = (
    "product_keys",
    "wide_mlp",
    "expert_retrieval",
    "domain_adapters",
)
"""What can stand in a memory layer: a product-key memory, an MLP of as many parameters, experts of
one neuron that are fetched by product keys, or an MLP with adapters of domains beside it.
"""


class MemoryLMConfig(LlamaConfig):
    """Llama with memories.

    Args:
        memory: what stands in the memory layers, in place of their MLP, one of `KINDS`.
        memory_layers: numbers of those layers.
        memory_side: keys in each half, so that there are its square of slots.
        memory_heads: queries at each token.
        memory_reads: slots that each query reads.
        memory_key_dim: of a query; each half has half of it.
        memory_mlp: neurons of a wide MLP, or of each adapter.
        memory_adapters: adapters of domains.
        more: of `LlamaConfig`.
    """

    model_type = "workbench_memory_lm"

    def __init__(
        self,
        memory: str = PRODUCT_KEYS,
        memory_layers: list[int] | None = None,
        memory_side: int = 64,
        memory_heads: int = 4,
        memory_reads: int = 4,
        memory_key_dim: int = 32,
        memory_mlp: int = 2048,
        memory_adapters: int = 2,
        **more: Any,
    ) -> None:
        if memory not in KINDS:
            raise ValueError(f"memory must be one of {', '.join(KINDS)}, not {memory!r}")
        self.memory = memory
        self.memory_layers = [1] if memory_layers is None else memory_layers
        self.memory_side = memory_side
        self.memory_heads = memory_heads
        self.memory_reads = memory_reads
        self.memory_key_dim = memory_key_dim
        self.memory_mlp = memory_mlp
        self.memory_adapters = memory_adapters
        super().__init__(**more)
