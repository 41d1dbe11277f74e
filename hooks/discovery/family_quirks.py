"""Names that differ from family to family of `transformers`: what finding the parts needs beside
the sums that every decoder does.

A name only proposes a part; whether it is one, the sums of the traced pass decide.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from workbench.models.configuration import setting

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

# -- classes and names of a layer's children -------------------------------------------------------

# Recurrent layers go by the name of their rule: few say "mixer", several say "attention".
MIXER_NAME = re.compile(
    r"Mamba|Mixer|SSM(?![a-z])|DeltaNet|DeltaAttention|Lightning|LinearAttention|RecurrentBlock"
    r"|lstm_layer|ShortConv"
)
ATTENTION_NAME = re.compile(r"attention|attn", re.I)
# "densereludense" is T5's, and that of decoders made from it.
MLP_NAME = re.compile(r"mlp|moe|feed_?forward|ffn|expert|sparse|densereludense", re.I)
NORM_NAME = re.compile(r"Norm\d*$|^ln|norm\d*$|LayerNorm")
# A plain `gate` is a router; `gate_proj` is half of a gated MLP.
ROUTER_NAME = re.compile(r"router|gate$|gating", re.I)

# RWKV calls its recurrence attention: it keeps a state and looks at no earlier token.
MIXER_CLASSES = frozenset({"RwkvSelfAttention"})
# Zamba's hybrid layer holds two whole decoder layers, one with "Attention" in its name and one with
# "Mamba": they are looked into, not taken for such a part.
INNER_LAYER_SUFFIX = "DecoderLayer"

# -- matrices --------------------------------------------------------------------------------------

# The matrix whose output the activation function reads. In this order: a gated MLP has an `up_proj`
# as well, which without a gate is the one that is meant.
MLP_GATE_NAMES = (
    "gate_proj",  # LLaMA and most since
    "w1",  # LFM2, DBRX
    "wi_0",  # T5 with a gate
    "dense_h_to_4h",  # GPT-NeoX, BLOOM, Falcon
    "c_fc",  # GPT-2, StarCoder 2
    "fc1",  # BART, OPT, Phi
    "fc_in",  # GPT-J
    "up_proj",  # LLaMA's names without its gate
    "wi",  # T5 without a gate, ModernBERT
    "gate_up_proj",  # both halves in one: Phi-3, GLM
    "linear_1",  # Funnel, and what projects images into a decoder
)
# The linear half of a gated MLP: LLaMA's, LFM2's, DBRX's, T5's.
MLP_UP_NAMES = ("up_proj", "w3", "v1", "wi_1")
# The last matrix of attention or MLP. Needed where what it gives is not what the part gives out: it
# was changed in place, or something was added behind it.
LAST_MATRIX_NAMES = (
    "o_proj",
    "out_proj",
    "dense",
    "c_proj",
    "down_proj",
    "dense_4h_to_h",
    "wo",
    "w2",
)
# GPT-2's, and that of OPT, XGLM and BioGPT; families with rotary embeddings have no such table.
POSITION_TABLE_NAMES = frozenset({"wpe", "embed_positions"})

# -- calls -----------------------------------------------------------------------------------------

# By what name a module takes its main input where it comes by name.
INPUT_NAMES = ("hidden_states", "x", "input")
# What a norm calls the small number under its root: torch's name, LLaMA's, and older ones.
EPSILON_NAMES = ("eps", "variance_epsilon", "epsilon")

# -- configurations --------------------------------------------------------------------------------

N_LAYERS_FIELDS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
N_HEADS_FIELDS = ("num_attention_heads", "n_head", "num_heads")
N_KV_HEADS_FIELDS = ("num_key_value_heads", "num_kv_heads")
# The soft-cap of the logits: Gemma's, xLSTM's, RecurrentGemma's.
LOGIT_CAP_FIELDS = ("final_logit_softcapping", "output_logit_soft_cap", "logits_soft_cap")


def config_number(config: PreTrainedConfig, *fields: str) -> int | None:
    """The first of these fields that holds a number; where each layer has its own, the largest."""
    for field in fields:
        value = setting(config, field)
        numbers = [
            v
            for v in (value if isinstance(value, list) else [value])
            if isinstance(v, int) and not isinstance(v, bool)
        ]
        if numbers:
            return max(numbers)
    return None
