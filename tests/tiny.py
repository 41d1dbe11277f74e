"""Small random models and a tokenizer, built in milliseconds and without the network.

Every builder takes a seed, so two calls give the same weights. The vocabulary is that of `tiny_tokenizer`, which is
byte-level: any text, emoji and broken Unicode included, becomes tokens and comes back unchanged.
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
    """A byte-level BPE with `<eos>` (also padding and beginning), as a `PreTrainedTokenizerFast`; pads on the right."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=_trained(), eos_token="<eos>", bos_token="<eos>", pad_token="<eos>", model_max_length=256
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


def tiny_llama(n_layers: int = 3, n_heads: int = 4, n_kv_heads: int = 2, d_model: int = 32, seed: int = 0) -> Any:
    """A random `LlamaForCausalLM` (grouped-query attention, rotary positions, gated MLP), in eval mode."""
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
    """A random `GPTNeoXForCausalLM` (Pythia's: attention and MLP in parallel, one fused qkv matrix), in eval mode."""
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
        # Hugging Face's 0.02 makes a small model nearly linear and nearly uniform; at this size a wider start gives
        # attention and logits that differ enough for tests to see an intervention.
        for parameter in module.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.2)
    return module.eval()


def save_tiny(folder: Path, module: Any | None = None) -> Path:
    """Write a tiny model (default `tiny_llama()`) and the tokenizer as a Hugging Face folder with safetensors."""
    module = module if module is not None else tiny_llama()
    module.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder
