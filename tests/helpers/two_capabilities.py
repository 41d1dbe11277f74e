"""A model built by hand in which two capabilities run through known neurons, and prompts for it.

Embeddings are one-hot and attention writes nothing, so what is said next depends on the last token
alone. In layer 1, neurons of one capability fire on its keys and write its answer; without them the
model says the key again. The other neurons are random and write next to nothing.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tests.helpers.tiny import VOCABULARY, tiny_tokenizer

LAYER = 1
NEURONS = {"letters": (0, 1, 2), "digits": (3, 4, 5)}
KEYS = {"letters": "qwzx", "digits": "3579"}
ANSWERS = {"letters": "Y", "digits": "8"}
_FILLERS = "#$%&*+<=>@^~"
_SLOPE, _STRENGTH = 0.2, 0.03


def two_capabilities_module() -> Any:
    """A `LlamaForCausalLM` of two layers with 24 neurons each."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=VOCABULARY, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=128,
        bos_token_id=0, eos_token_id=0, pad_token_id=0, tie_word_embeddings=True,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = LlamaForCausalLM(config).eval()
    tokenizer = tiny_tokenizer()
    with torch.no_grad():
        module.model.embed_tokens.weight.copy_(torch.eye(VOCABULARY))
        for layer in module.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.mul_(1e-3)
        mlp = module.model.layers[LAYER].mlp
        for name, numbers in NEURONS.items():
            keys = [tokenizer.convert_tokens_to_ids(key) for key in KEYS[name]]
            answer = tokenizer.convert_tokens_to_ids(ANSWERS[name])
            for number in numbers:
                for matrix in (mlp.gate_proj, mlp.up_proj):
                    matrix.weight[number] = 0.0
                    matrix.weight[number, keys] = _SLOPE
                mlp.down_proj.weight[:, number] = 0.0
                mlp.down_proj.weight[answer, number] = _STRENGTH
    return module


def capability_lines(n: int = 30, seed: int = 0) -> list[dict[str, str]]:
    """Prompts that end in a key behind fillers, with its answer."""
    draw = random.Random(seed)
    return [
        {
            "capability": name,
            "prompt": "".join(draw.choices(_FILLERS, k=9)) + draw.choice(KEYS[name]),
            "answer": ANSWERS[name],
        }
        for name in NEURONS
        for _ in range(n)
    ]


def capability_file(folder: Path, lines: list[dict[str, str]] | None = None) -> Path:
    """The prompts as a user would bring them."""
    file = folder / "capabilities.jsonl"
    file.write_text("\n".join(map(json.dumps, lines or capability_lines())), encoding="utf-8")
    return file
