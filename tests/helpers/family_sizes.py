"""The sizes of small models: those that any family knows, by the names that configurations give
them, and what some families need beyond that.
"""

from __future__ import annotations

from typing import Any

from tests.helpers.tiny import VOCABULARY

# Sizes by the names that configurations give them. d_model 32 = 4 heads of 8; 2 key-value heads.
SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model"), 32),
    **dict.fromkeys(
        ("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads"), 4
    ),
    **dict.fromkeys(
        ("encoder_attention_heads", "num_decoder_attention_heads", "num_encoder_attention_heads"), 4
    ),
    **dict.fromkeys(
        ("intermediate_size", "ffn_dim", "n_inner", "decoder_ffn_dim", "encoder_ffn_dim", "dim_ff"),
        48,
    ),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 256),
    **dict.fromkeys(("num_experts", "n_routed_experts", "num_local_experts"), 4),
    **dict.fromkeys(
        ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "head_dim", "dim_head"), 8
    ),
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
LAYERS = (
    *("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    *("decoder_layers", "encoder_layers", "num_decoder_layers", "num_encoder_layers"),
)
_MLA: dict[str, Any] = {"num_key_value_heads": 4}
_INDEXED: dict[str, Any] = {**_MLA, "index_topk": 6, "index_head_dim": 16, "index_n_heads": 4}
_DELTA: dict[str, Any] = {
    "num_hidden_layers": 4,
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
# Each kind of attention twice, the second time with the keys and values of the first.
_GEMMA4: dict[str, Any] = {
    "num_hidden_layers": 4,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "num_kv_shared_layers": 2,
    "head_dim": 8,
    "global_head_dim": 16,
}

SPECIAL: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("axk2", "deepseek_v32"), _INDEXED),
    "axk1": _MLA,
    "glm_moe_dsa": {**_INDEXED, "indexer_types": ["full", "shared", "full"]},
    "dots3_note_text": {
        **_INDEXED,
        "layer_types": ["indexed_attention", "sliding_attention", "indexed_attention"],
        "num_attention_heads": 4,
        "head_dim": 16,
        "n_routed_experts": 4,
        "moe_intermediate_size": 24,
        "per_layer_config": {
            1: {
                **dict.fromkeys(("num_attention_heads", "num_key_value_heads"), 4),
                **dict.fromkeys(("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"), 8),
                "head_dim": 16,
            }
        },
    },
    "dots3_note_vision_encoder": {
        "mlp_layer_types": ["dense"] * 3,
        "adapter_in_dim": 32,
        "adapter_out_dim": 32,
    },
    "dots3_note_audio_encoder": {"adapter_input_size": 32, "adapter_out_dim": 32},
    "gemma4_text": {
        **_GEMMA4,
        "hidden_size_per_layer_input": 8,
        "vocab_size_per_layer_input": VOCABULARY,
    },
    "gemma4_unified_text": _GEMMA4,
    "cohere_compass_text": {
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 10000.0}}
    },
    "dots1": {
        "n_routed_experts": 4,
        "n_shared_experts": 1,
        "num_experts_per_tok": 2,
        "first_k_dense_replace": 1,
    },
    "zaya": {"num_experts_per_tok": 1, "router_hidden_size": 16},
    "zamba": {
        "num_hidden_layers": 4,
        "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
        "mamba_d_state": 4,
        "mamba_dt_rank": 4,
        "attention_hidden_size": 64,
        "attention_head_dim": 16,
        "num_key_value_heads": 4,
        "use_mamba_kernels": False,
    },
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0},
        "ffn_config": {"ffn_hidden_size": 24, "hidden_size": 32, "moe_top_k": 2},
    },
    "qwen4_exp_text": {
        **_DELTA,
        "hc_lowrank": 8,
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 8,
        "indexer_budget": 8,
        "indexer_compress_ratio": 2,
        "shared_expert_intermediate_size": 24,
        "ple_embed_dim": 8,
        "ngram_vocab_size_base": 100,
    },
    "inkling2_text": {
        "n_layers_per_attn_res_block": 2,
        "swa_num_attention_heads": 4,
        "swa_num_key_value_heads": 2,
        "swa_head_dim": 8,
        "sliding_window_size": 4,
        "unpadded_vocab_size": VOCABULARY,
    },
    "roc_bert": {
        "is_decoder": True,
        "pronunciation_embed_dim": 8,
        "shape_embed_dim": 8,
        "shape_vocab_size": 16,
        "pronunciation_vocab_size": 16,
    },
    "xmod": {"is_decoder": True, "default_language": "en_XX"},
    "xlm": {"causal": True},
    "xlnet": {"attn_type": "uni", "d_inner": 48},
    "big_bird": {"is_decoder": True, "attention_type": "original_full"},
    "reformer": {"is_decoder": True, "axial_pos_embds": False},
    **{
        name: {"is_decoder": True}
        for name in (
            *(
                "bert",
                "bert-generation",
                "camembert",
                "data2vec-text",
                "electra",
                "ernie",
                "megatron-bert",
                "rembert",
                "roberta",
            ),
            *("roberta-prelayernorm", "roformer", "xlm-roberta", "xlm-roberta-xl"),
        )
    },
    "deepseek_v2": {**_MLA, "num_experts_per_tok": 2, "topk_method": "greedy"},
    **dict.fromkeys(("deepseek_v3", "glm4_moe_lite", "minicpm3", "youtu", "longcat_flash"), _MLA),
    **{name: {"rotary_dim": 4} for name in ("gptj", "codegen")},
    "falcon": {"_drop": ("head_dim",)},
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
    "bamba": {
        "mamba_n_heads": 8,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_chunk_size": 8,
        "attn_layer_indices": [1],
    },
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
    "falcon_h1": {
        "mamba_d_ssm": 32,
        "mamba_n_heads": 4,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_chunk_size": 8,
    },
    "nemotron_h": {
        "num_hidden_layers": 4,
        "hybrid_override_pattern": "M*-M",
        "mamba_num_heads": 8,
        "mamba_head_dim": 8,
        "ssm_state_size": 8,
        "n_groups": 2,
        "chunk_size": 8,
    },
    "qwen3_next": {**_DELTA, "shared_expert_intermediate_size": 24},
    "qwen3_5_text": _DELTA,
    "qwen3_5_moe_text": _DELTA,
    "olmo_hybrid": {**_DELTA, "linear_num_key_heads": 4},
    "recurrent_gemma": {"lru_width": 32, "num_hidden_layers": 3, "attention_window_size": 8},
    "rwkv": {"attention_hidden_size": 32, "context_length": 256},
    "xlstm": {"num_heads": 4, "_drop": ("v_head_dim",), "hidden_size": 128, "chunk_size": 8},
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "conv"], "num_dense_layers": 1},
    **{name: {"head_dim": 8} for name in ("hunyuan_v1_dense", "hunyuan_v1_moe")},
    "lfm2": {"layer_types": ["conv", "full_attention", "conv"]},
    "nemotron": {"head_dim": 8, "num_key_value_heads": 2},
    "ministral": {"head_dim": 8},
    "qwen2_moe": {"shared_expert_intermediate_size": 24},
    "gemma3n_text": {"num_hidden_layers": 4, "layer_types": None, "num_kv_shared_layers": 2},
    **{
        name: {
            "layer_types": ["linear_attention", "full_attention", "linear_attention"],
            "num_key_value_heads": 4,
            "linear_num_heads": 4,
            "linear_head_dim": 8,
        }
        for name in ("kimi_linear", "bailing_hybrid")
    },
}
