"""States of recurrent layers after every token of a prompt: from one pass, and token by token as
they were read before. Random models, since what counts is the number of passes.
"""

from __future__ import annotations

from typing import Any

import torch

import workbench as wb
from benchmarks.measure import alternate, prompt, table
from hooks.sites import SITES, Place
from hooks.state_capture import trajectory

TOKENS = 512
MODELS = {
    "Mamba-2": (
        "mamba2",
        {"num_heads": 8, "head_dim": 64, "state_size": 64, "n_groups": 1, "chunk_size": 64},
    ),
    "gated delta rule": (
        "qwen3_next",
        {
            "layer_types": ["linear_attention"] * 4,
            "linear_num_value_heads": 8,
            "linear_num_key_heads": 4,
            "linear_key_head_dim": 32,
            "linear_value_head_dim": 64,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 128,
            "shared_expert_intermediate_size": 128,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 64,
        },
    ),
}
COMMON = {"hidden_size": 256, "num_hidden_layers": 4, "expand": 2}


def tables(model: Any, repeats: int) -> list[str]:
    """The Markdown lines of all tables; of the default model only the tokenizer is taken."""
    lines: list[str] = []
    for name, (family, sizes) in MODELS.items():
        lines += ["", *_one(name, _built(family, sizes, model.tokenizer), repeats)]
    return lines[1:]


def _built(family: str, sizes: dict[str, Any], tokenizer: Any) -> Any:
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    kind = CONFIG_MAPPING[family]
    known = set(kind().to_dict()) | set(kind.attribute_map)
    usual = {key: value for key, value in COMMON.items() if key in known}
    torch.manual_seed(0)
    config = kind(**usual, **sizes, vocab_size=len(tokenizer))
    return wb.load((AutoModelForCausalLM.from_config(config).eval(), tokenizer))


def _one(name: str, model: Any, repeats: int) -> list[str]:
    ids = prompt(model, TOKENS)
    places = [Place(SITES["state"], layer) for layer in range(model.n_layers)]

    def one_pass() -> Any:
        return wb.capture(model, [ids], sites="state")["state"].values

    def stepped() -> Any:
        return trajectory(model, ids, places)

    own = torch.stack([stepped()[place] for place in places])
    error = float((torch.tensor(one_pass()[0]) - own).norm() / own.norm())
    times = alternate({"one pass": one_pass, "token by token": stepped}, repeats, warm=False)
    title = f"States of {model.n_layers} layers after each of {len(ids)} tokens: {name}, width 256"
    return [
        *table(title, times, "one pass"),
        "",
        f"Largest relative difference of the states: {error:.1e}.",
    ]
