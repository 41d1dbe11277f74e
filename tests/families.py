"""Small random models of the causal-LM families of `transformers`, built from their configurations alone.

A family's own default configuration is made small: every size that it knows by one of the usual names is set, and
nothing else is changed, so what makes the family special (norms, caps, windows, experts, states) stays. `SPECIAL` holds
what some families need beyond that. To add a family: a line in `FAMILIES`.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

from tests.tiny import VOCABULARY

# Sizes by the names that configurations give them. d_model 32 = 4 heads of 8; 2 key-value heads.
_SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model"), 32),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner"), 48),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 256),
    **dict.fromkeys(("num_experts", "n_routed_experts", "num_local_experts"), 4),
    **dict.fromkeys(("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "head_dim"), 8),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank"), 16),
    **dict.fromkeys(("n_group", "topk_group", "first_k_dense_replace"), 1),
    **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 0),
    "vocab_size": VOCABULARY,
    "num_key_value_heads": 2,
    "sliding_window": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 24,
    "attention_dropout": 0.0,
}
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_MLA: dict[str, Any] = {"num_key_value_heads": 4}

_NAMES = """
afmoe apertus arcee aria_text bailing_hybrid bamba beam biogpt bitnet bloom codegen cohere cohere2 cohere2_moe ctrl
cwm deepseek_v2 deepseek_v3 diffllama doge ernie4_5 ernie4_5_moe exaone4 exaone_moe falcon falcon_h1 falcon_mamba
flex_olmo flint gemma gemma2 gemma3_text glm glm4 glm4_moe glm4_moe_lite gpt2 gpt_bigcode gpt_neo gpt_neox
gpt_neox_japanese gpt_oss gptj granite granite_swa granitemoe granitemoe_swa granitemoehybrid granitemoeshared helium
hunyuan_v1_dense hunyuan_v1_moe hy_v3 hyperclovax inkling_text internlm3 iquestcoder jais2 jamba jetmoe kimi_linear
kolibri1 laguna lfm2 lfm2_moe lfm3 llama llama4_text mamba mamba2 mellum mimo_v2_flash minicpm3 minimax minimax_m2
minimax_m3_vl_text ministral ministral3 mistral mixtral modernbert-decoder moshi mpt nanochat nemotron nemotron_h olmo
olmo2 olmo3 olmo_hybrid olmoe openai-gpt opt persimmon phi phi3 phimoe qwen2 qwen2_moe qwen3 qwen3_5_moe_text
qwen3_5_text qwen3_moe qwen3_next recurrent_gemma rwkv seed_oss smollm3 solar_open stablelm starcoder2 vaultgemma xglm
xlstm youtu zamba2
"""
FAMILIES = tuple(_NAMES.split())
"""Families of the contract. By what they show: grouped (llama), multi-query (gpt_bigcode, falcon) and latent attention
(deepseek_v2), parallel blocks (gpt_neox, cohere), sliding windows (gemma3_text), sinks (gpt_oss), mixtures of experts
(mixtral), post-norm (olmo2), soft-caps (gemma2), multipliers (granite), hybrids (jamba, qwen3_next), recurrent (mamba, rwkv)."""

OUTSIDE = {
    "gemma3n_text": "several residual streams side by side (AltUp)",
    "deepseek_v4": "several residual streams side by side (hyper-connections)",
    "longcat_flash": "two attentions and two MLPs in one layer",
}
"""Families that load, run and refuse with the reason."""

SPECIAL: dict[str, dict[str, Any]] = {
    "deepseek_v2": {**_MLA, "num_experts_per_tok": 2, "topk_method": "greedy"},
    **dict.fromkeys(("deepseek_v3", "glm4_moe_lite", "minicpm3", "youtu", "longcat_flash"), _MLA),
    **{name: {"rotary_dim": 4} for name in ("gptj", "codegen")},
    "falcon": {"head_dim": None},
    "gpt_neo": {"num_layers": 4, "attention_types": [[["global", "local"], 2]], "window_size": 4},
    "mamba": {"state_size": 4},
    "mamba2": {"num_heads": 8, "head_dim": 8, "state_size": 8, "n_groups": 2, "chunk_size": 8},
    "falcon_mamba": {"state_size": 4},
    "jamba": {
        "num_hidden_layers": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "mamba_d_state": 4,
        "mamba_dt_rank": 4,
    },
    "bamba": {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 8, "attn_layer_indices": [1]},
    "granitemoehybrid": {
        "mamba_n_heads": 8,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_chunk_size": 8,
        "layer_types": ["mamba", "attention", "mamba"],
        "shared_intermediate_size": 32,
    },
    "zamba2": {
        "num_hidden_layers": 4,
        "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
        "mamba_d_state": 8,
        "n_mamba_heads": 8,
        "num_mem_blocks": 1,
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
        "chunk_size": 8,
        "num_key_value_heads": 4,
    },
    "falcon_h1": {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 8},
    "nemotron_h": {
        "num_hidden_layers": 4,
        "hybrid_override_pattern": "M*-M",
        "mamba_num_heads": 8,
        "mamba_head_dim": 8,
        "ssm_state_size": 8,
        "n_groups": 2,
        "chunk_size": 8,
    },
    "qwen3_next": {
        "num_hidden_layers": 4,
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "shared_expert_intermediate_size": 24,
    },
    "qwen3_5_text": {
        "num_hidden_layers": 4,
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    },
    "qwen3_5_moe_text": {"num_hidden_layers": 4},
    "olmo_hybrid": {
        "num_hidden_layers": 4,
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 4,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    },
    "recurrent_gemma": {"lru_width": 32, "num_hidden_layers": 3, "attention_window_size": 8},
    "rwkv": {"attention_hidden_size": 32, "context_length": 256},
    "xlstm": {"num_heads": 4, "v_head_dim": None, "hidden_size": 128, "chunk_size": 8},
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "conv"], "num_dense_layers": 1},
    **{name: {"head_dim": 8} for name in ("hunyuan_v1_dense", "hunyuan_v1_moe")},
    "lfm2": {"layer_types": ["conv", "full_attention", "conv"]},
    "nemotron": {"head_dim": 8, "num_key_value_heads": 2},
    "ministral": {"head_dim": 8},
    "qwen2_moe": {"shared_expert_intermediate_size": 24},
    "gemma3n_text": {"num_hidden_layers": 4, "layer_types": None, "num_kv_shared_layers": 2},
    "kimi_linear": {"layer_types": ["linear_attention", "full_attention", "linear_attention"], "num_key_value_heads": 4},
    "bailing_hybrid": {"layer_types": ["linear_attention", "full_attention", "linear_attention"], "num_key_value_heads": 4},
}


def module(name: str, seed: int = 0) -> Any:
    """A small random model of the family, in eval mode; the same for the same seed."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(), contextlib.redirect_stdout(io.StringIO()):
        torch.manual_seed(seed)
        built = AutoModelForCausalLM.from_config(config(name))
        # The library's small start makes such a model nearly linear; tests must be able to see attention at work.
        for parameter in built.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.2)
    return built.eval()


def config(name: str) -> Any:
    """The family's configuration with small sizes."""
    from transformers import CONFIG_MAPPING

    kind = CONFIG_MAPPING[name]
    usual = kind()
    known = set(usual.to_dict()) | set(kind.attribute_map)
    sizes = {k: v for k, v in _SIZES.items() if k in known and isinstance(_value(usual, k), int)}
    sizes |= {k: 3 for k in _LAYERS if k in known and isinstance(_value(usual, k), int) and k not in kind.attribute_map}
    special = SPECIAL.get(name, {})
    sizes |= special
    return kind(**{k: v for k, v in sizes.items() if v is not None or special.get(k, "") is not None})


def _value(usual: Any, name: str) -> Any:
    """A configuration's own value; None where it differs from layer to layer."""
    try:
        return getattr(usual, name, None)
    except AttributeError:
        return None
