"""Models with layers of gated delta rules (Yang et al. 2024), from torch's random state."""

from __future__ import annotations

import math
from typing import Any


def make(layers: tuple[str, ...], heads: int, size: int, **sizes: Any) -> Any:
    """A Qwen3-Next without experts.

    The start of `transformers` never learned to recall. Steps dt are drawn from 0.001 to 0.1 and
    rates A from 1 to 4, as Mamba's are, and the short convolutions as torch draws them: weights of
    0.02 carry a key to its value so weakly that after 1,000 steps 18 % of 32 pairs were recalled
    with two states of 16 × 16, and 31 % with torch's.

    Args:
        layers: "linear_attention" or "full_attention" for each.
        heads: of a layer of the gated delta rule, with a state of `size` × `size` each.
        sizes: of `Qwen3NextConfig`.
    """
    import torch
    from transformers import Qwen3NextConfig, Qwen3NextForCausalLM

    config = Qwen3NextConfig(
        **sizes,
        num_hidden_layers=len(layers),
        layer_types=list(layers),
        mlp_only_layers=list(range(len(layers))),
        linear_num_key_heads=heads,
        linear_num_value_heads=heads,
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
        mixer.conv1d.reset_parameters()
        with torch.no_grad():
            dt = torch.exp(torch.empty_like(mixer.dt_bias).uniform_(math.log(1e-3), math.log(0.1)))
            mixer.dt_bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # softplus gives dt again
            mixer.A_log.copy_(torch.empty_like(mixer.A_log).uniform_(1, 4).log())
    return model
