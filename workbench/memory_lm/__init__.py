"""Small language models of our own with memory modules in them, as `transformers` wants its models:
Llama or Mistral, in some of whose layers a memory stands in place of the MLP.

Its settings                               -> configuration.py
Product-key memory (Lample et al. 2019)    -> product_keys.py
Experts of one neuron (He 2024)            -> expert_retrieval.py
An MLP and adapters of domains             -> domain_adapters.py
The model around them                      -> modeling.py
A memory of all tokens (Wu et al. 2022)    -> nearest_tokens.py; nearest_config.py,
                                              nearest_modeling.py
Gated slots (Santoro et al. 2018, LM2)     -> gated_slots.py; slots_config.py, slots_modeling.py
"""

from __future__ import annotations


def register() -> None:
    """Make the Auto classes of `transformers` know it; doing so again changes nothing."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from workbench.memory_lm.configuration import MemoryLMConfig
    from workbench.memory_lm.modeling import MemoryLMForCausalLM
    from workbench.memory_lm.nearest_config import NearestLMConfig
    from workbench.memory_lm.nearest_modeling import NearestLMForCausalLM
    from workbench.memory_lm.slots_config import GatedSlotsConfig
    from workbench.memory_lm.slots_modeling import GatedSlotsForCausalLM

    AutoConfig.register(MemoryLMConfig.model_type, MemoryLMConfig, exist_ok=True)
    AutoModelForCausalLM.register(MemoryLMConfig, MemoryLMForCausalLM, exist_ok=True)
    AutoConfig.register(NearestLMConfig.model_type, NearestLMConfig, exist_ok=True)
    AutoModelForCausalLM.register(NearestLMConfig, NearestLMForCausalLM, exist_ok=True)
    AutoConfig.register(GatedSlotsConfig.model_type, GatedSlotsConfig, exist_ok=True)
    AutoModelForCausalLM.register(GatedSlotsConfig, GatedSlotsForCausalLM, exist_ok=True)
