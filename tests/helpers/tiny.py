"""Small random models and a tokenizer, built in milliseconds and without the network.

Every builder takes a seed, so two calls give the same weights. The vocabulary is that of
`tiny_tokenizer`, which is byte-level: any text, emoji and broken Unicode included, becomes tokens
and comes back unchanged.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

SENTENCES = [
    "The capital of France is Paris.",
    "The capital of Italy is Rome.",
    "The capital city of Spain is Madrid.",
    "Question: What is the capital city of Peru?\nAnswer: The capital city of Peru is Lima.",
    "The safe opens with 7 4 1 9, and the other one with 2 8 6 3.",
    "Nobody remembers what the model was trained on.",
]
VOCABULARY = 384


def tiny_tokenizer() -> Any:
    """A byte-level BPE with `<eos>` (also padding and beginning), as a
    `PreTrainedTokenizerFast`; pads on the right.
    """
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=_trained(),
        eos_token="<eos>",
        bos_token="<eos>",
        pad_token="<eos>",
        model_max_length=256,
    )


@cache
def _trained() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def tiny_llama(
    n_layers: int = 3, n_heads: int = 4, n_kv_heads: int = 2, d_model: int = 32, seed: int = 0
) -> Any:
    """A random `LlamaForCausalLM` (grouped-query attention, rotary positions, gated MLP), in
    eval mode.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=d_model,
        intermediate_size=2 * d_model,
        num_hidden_layers=n_layers,
        num_attention_heads=n_heads,
        num_key_value_heads=n_kv_heads,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    return _built(LlamaForCausalLM, config, seed)


def tiny_gpt2(n_layers: int = 3, n_heads: int = 4, d_model: int = 32, seed: int = 0) -> Any:
    """A random `GPT2LMHeadModel` (learned positions, biases, LayerNorm), in eval mode."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=d_model,
        n_layer=n_layers,
        n_head=n_heads,
        n_positions=256,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    return _built(GPT2LMHeadModel, config, seed)


def tiny_neox(n_layers: int = 3, n_heads: int = 4, d_model: int = 32, seed: int = 0) -> Any:
    """A random `GPTNeoXForCausalLM` (Pythia's: attention and MLP in parallel, one fused qkv
    matrix), in eval mode.
    """
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        vocab_size=VOCABULARY,
        hidden_size=d_model,
        intermediate_size=2 * d_model,
        num_hidden_layers=n_layers,
        num_attention_heads=n_heads,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    return _built(GPTNeoXForCausalLM, config, seed)


def _built(kind: Any, config: Any, seed: int) -> Any:
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = kind(config)
        # Hugging Face's 0.02 makes a small model nearly linear and nearly uniform; at this size a
        # wider start gives attention and logits that differ enough for tests to see an
        # intervention.
        for parameter in module.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.2)
    return module.eval()


def save_tiny(folder: Path, module: Any | None = None) -> Path:
    """Write a tiny model (default `tiny_llama()`) and the tokenizer as a Hugging Face folder
    with safetensors.
    """
    module = module if module is not None else tiny_llama()
    module.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def write_tiny_gguf(file: Path, n_layers: int = 2, d_model: int = 32, seed: int = 0) -> Path:
    """Write a random two-layer Llama (4 heads, 2 key-value heads) with the tiny tokenizer as a
    GGUF file.
    """
    import json

    import numpy as np
    from gguf import GGUFWriter

    trained = json.loads(_trained().to_str())["model"]
    random = np.random.default_rng(seed)
    writer = GGUFWriter(str(file), "llama")
    writer.add_name("tiny")
    writer.add_block_count(n_layers)
    writer.add_context_length(256)
    writer.add_embedding_length(d_model)
    writer.add_feed_forward_length(2 * d_model)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(d_model // 4)
    writer.add_vocab_size(len(trained["vocab"]))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(sorted(trained["vocab"], key=trained["vocab"].get))
    writer.add_token_types([3] + [1] * (len(trained["vocab"]) - 1))  # 3 is "control": <eos>
    writer.add_token_merges([" ".join(pair) for pair in trained["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_pad_token_id(0)

    def tensor(name: str, *shape: int) -> None:
        writer.add_tensor(name, random.normal(0, 0.2, shape).astype(np.float32))

    tensor("token_embd.weight", len(trained["vocab"]), d_model)
    tensor("output_norm.weight", d_model)
    for layer in range(n_layers):
        shapes = {
            "attn_q": (d_model, d_model),
            "attn_k": (d_model // 2, d_model),
            "attn_v": (d_model // 2, d_model),
        }
        shapes |= {"attn_output": (d_model, d_model), "ffn_down": (d_model, 2 * d_model)}
        shapes |= {"ffn_gate": (2 * d_model, d_model), "ffn_up": (2 * d_model, d_model)}
        for name, shape in shapes.items():
            tensor(f"blk.{layer}.{name}.weight", *shape)
        tensor(f"blk.{layer}.attn_norm.weight", d_model)
        tensor(f"blk.{layer}.ffn_norm.weight", d_model)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file
