"""A small language model of our own with memory modules in it, as `transformers` wants its models:
Llama, in some of whose layers a memory stands in place of the MLP.

Its settings                               -> configuration.py
Product-key memory (Lample et al. 2019)    -> product_keys.py
The model around them                      -> modeling.py
"""

from __future__ import annotations


def register() -> None:
    """Make the Auto classes of `transformers` know it; doing so again changes nothing."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from workbench.memory_lm.configuration import MemoryLMConfig
    from workbench.memory_lm.modeling import MemoryLMForCausalLM

    AutoConfig.register(MemoryLMConfig.model_type, MemoryLMConfig, exist_ok=True)
    AutoModelForCausalLM.register(MemoryLMConfig, MemoryLMForCausalLM, exist_ok=True)
