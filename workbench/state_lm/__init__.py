"""A small language model of our own whose layers keep nothing but states, as `transformers` wants
its models: mixtures of memories (Du et al. 2025), of one memory too, with a gated delta rule or
without decay and erasure; S4D; LSTM.

Its settings                               -> configuration.py
How states are written and read            -> kernels.py
Memories, and the router between them      -> memories.py, routers.py
S4D and LSTM                               -> diagonal.py, lstm.py
The model around them                      -> modeling.py
"""

from __future__ import annotations


def register() -> None:
    """Make the Auto classes of `transformers` know it; doing so again changes nothing."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from workbench.state_lm.configuration import StateLMConfig
    from workbench.state_lm.modeling import StateLMForCausalLM

    AutoConfig.register(StateLMConfig.model_type, StateLMConfig, exist_ok=True)
    AutoModelForCausalLM.register(StateLMConfig, StateLMForCausalLM, exist_ok=True)
