"""The models of recall before they are trained, from torch's global random state."""

from __future__ import annotations

import math
from typing import Any

from workbench.organisms.gated_delta import make as make_gated_delta
from workbench.organisms.recall import delay, task

WIDTH, LAYERS, MLP = 64, 2, 128


def attention(window: int | None = None) -> Any:
    """Llama; with a window, Mistral."""
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


def gated_delta(size: int, layers: tuple[str, ...]) -> Any:
    """Two heads with a state of `size` × `size` each."""
    return make_gated_delta(
        layers,
        2,
        size,
        **_shared(),
        intermediate_size=MLP,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=WIDTH // 2,
    )


def mamba2(size: int, *, mimetic: bool = False) -> Any:
    """Two heads with a state of `WIDTH` × `size` each; `mimetic` begins as linear attention."""
    from transformers import Mamba2Config, Mamba2ForCausalLM

    model = Mamba2ForCausalLM(
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
    if mimetic:
        for block in model.backbone.layers:
            _as_linear_attention(block.mixer, size)
    return model


def _as_linear_attention(mixer: Any, size: int) -> None:
    """The start of Trockman et al. 2024 ("Mimetic initialization helps state space models learn to
    recall"): nothing decays, every step is 1, the convolution passes each token on, and what is
    written is found again by the same direction (W_C = W_B, of orthonormal rows).
    """
    import torch

    with torch.no_grad():
        # Rows of the projection: gate, x, B, C, dt.
        rows = mixer.in_proj.weight.split([2 * WIDTH, 2 * WIDTH, size, size, mixer.num_heads])
        torch.nn.init.orthogonal_(rows[2])
        rows[3].copy_(rows[2])
        rows[4].zero_()
        mixer.dt_bias.fill_(math.log(math.expm1(1.0)))
        mixer.A_log.fill_(math.log(1e-3))
        mixer.conv1d.weight.zero_()
        mixer.conv1d.weight[..., -1] = 1.0


def memories(*, follows: bool = False, **sizes: Any) -> Any:
    """Our own model of memories, of one memory too.

    Args:
        follows: whether a value goes to the memory of the token before it, its key; a planted
            router sends a key to memory (its token's number) modulo `num_memories`, filler nowhere.
        sizes: of `StateLMConfig`.
    """
    from workbench.state_lm.configuration import AS_BEFORE, NO_MEMORY, StateLMConfig
    from workbench.state_lm.modeling import StateLMForCausalLM

    if follows:
        keys = range(task.FIRST_KEY, task.FIRST_VALUE)
        sizes["token_routes"] = [
            NO_MEMORY,
            *(key % sizes["num_memories"] for key in keys),
            *[AS_BEFORE] * task.VALUES,
        ]
    return StateLMForCausalLM(StateLMConfig(**_shared(), intermediate_size=MLP, **sizes))


def delayed(**sizes: Any) -> Any:
    """Our own model of states, with the words of delayed recall.

    Args:
        sizes: of `StateLMConfig`.
    """
    from workbench.state_lm.configuration import StateLMConfig
    from workbench.state_lm.modeling import StateLMForCausalLM

    settings = _shared() | {"vocab_size": delay.VOCABULARY, "pad_token_id": delay.FILLER}
    return StateLMForCausalLM(StateLMConfig(**settings, intermediate_size=MLP, **sizes))


def _shared() -> dict[str, Any]:
    return {
        "vocab_size": task.VOCABULARY,
        "hidden_size": WIDTH,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": task.FILLER,
    }
