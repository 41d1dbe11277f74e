"""Which models of recall there are: two layers of width 64 that differ in what they remember with.

Of the learning rates the first is the best one found so far; `build.py` tries them all (a cell that
did not train says nothing about capacity).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workbench.organisms.recall import task

WIDTH, LAYERS, MLP = 64, 2, 128
WINDOW = 16
_FLOAT = 4


@dataclass(frozen=True)
class Family:
    """A model of recall.

    Attributes:
        description: in a few words, for lists.
        make: the untrained model, from torch's global random state.
        state_bytes: of what one layer carries from token to token, in float32; of attention, what
            it keeps per token (of a window, of the whole window). Short convolutions are not
            counted, as in the papers.
        grows: whether that is per token, so that it has no limit.
        rates: learning rates that are tried on the first seed.
        steps: of training.
    """

    description: str
    make: Callable[[], Any]
    state_bytes: int
    rates: tuple[float, ...]
    steps: int
    grows: bool = False


def _attention(window: int | None = None) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

    sizes: dict[str, Any] = {
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": MLP,
        "num_hidden_layers": LAYERS,
        "max_position_embeddings": 1024,
    }
    if window is None:
        return LlamaForCausalLM(LlamaConfig(**_shared(), **sizes))
    return MistralForCausalLM(MistralConfig(**_shared(), **sizes, sliding_window=window))


def _gated_delta(size: int, layers: tuple[str, ...]) -> Any:
    """Two heads with a state of `size` × `size` each.

    The start of `transformers` never learned this task: steps dt are drawn from 0.001 to 0.1 and
    rates A from 1 to 4, as Mamba's are.
    """
    import torch
    from transformers import Qwen3NextConfig, Qwen3NextForCausalLM

    config = Qwen3NextConfig(
        **_shared(),
        intermediate_size=MLP,
        num_hidden_layers=len(layers),
        layer_types=list(layers),
        mlp_only_layers=list(range(len(layers))),
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=WIDTH // 2,
        linear_num_key_heads=2,
        linear_num_value_heads=2,
        linear_key_head_dim=size,
        linear_value_head_dim=size,
        max_position_embeddings=1024,
        # Without a layer of attention the family's cache has no length to tell positions by.
        use_cache="full_attention" in layers,
    )
    model = Qwen3NextForCausalLM(config)
    for layer in model.model.layers:
        if not hasattr(layer, "linear_attn"):
            continue
        mixer = layer.linear_attn
        with torch.no_grad():
            dt = torch.exp(torch.empty_like(mixer.dt_bias).uniform_(math.log(1e-3), math.log(0.1)))
            mixer.dt_bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # softplus gives dt again
            mixer.A_log.copy_(torch.empty_like(mixer.A_log).uniform_(1, 4).log())
    return model


def _mamba2(size: int) -> Any:
    from transformers import Mamba2Config, Mamba2ForCausalLM

    return Mamba2ForCausalLM(
        Mamba2Config(
            **_shared(),
            num_hidden_layers=LAYERS,
            num_heads=2,
            head_dim=WIDTH,
            expand=2,
            state_size=size,
            n_groups=1,
            chunk_size=32,
        )
    )


def _shared() -> dict[str, Any]:
    return {
        "vocab_size": task.VOCABULARY,
        "hidden_size": WIDTH,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": task.FILLER,
    }


def _delta(size: int, steps: int) -> Family:
    return Family(
        f"gated delta rule, two states of {size} × {size} a layer",
        lambda: _gated_delta(size, ("linear_attention",) * LAYERS),
        2 * size * size * _FLOAT,
        (3e-3, 1e-3, 6e-3),
        steps,
    )


def _mamba(size: int, steps: int) -> Family:
    return Family(
        f"Mamba-2, two states of {WIDTH} × {size} a layer",
        lambda: _mamba2(size),
        2 * WIDTH * size * _FLOAT,
        (1e-2, 5e-3, 3e-3),
        steps,
    )


_PER_TOKEN = 2 * WIDTH * _FLOAT  # a key and a value of every head

FAMILIES = {
    "attention": Family(
        "attention over all tokens", _attention, _PER_TOKEN, (3e-3, 1e-3), 500, grows=True
    ),
    "window": Family(
        f"attention over the last {WINDOW} tokens",
        lambda: _attention(WINDOW),
        WINDOW * _PER_TOKEN,
        (3e-3, 1e-3),
        600,
    ),
    "hybrid": Family(
        "a layer of gated delta rule, then one of attention",
        lambda: _gated_delta(16, ("linear_attention", "full_attention")),
        2 * 16 * 16 * _FLOAT,
        (3e-3, 1e-3),
        1500,
        grows=True,
    ),
    "delta-8": _delta(8, 2000),
    "delta-16": _delta(16, 2000),
    "delta-32": _delta(32, 2000),
    "mamba-8": _mamba(8, 1200),
    "mamba-16": _mamba(16, 1200),
    "mamba-32": _mamba(32, 1200),
}
"""By name, as in `organism/recall-NAME`."""
