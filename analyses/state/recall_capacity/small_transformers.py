"""Transformers small enough to be trained in seconds, and one way to train them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

HEADS = 2


def make_transformer(vocabulary: int, width: int, layers: int, seed: int) -> Any:
    """A Llama of that width, its MLP twice as wide, input and output embeddings tied."""
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(
            LlamaConfig(
                vocab_size=vocabulary,
                hidden_size=width,
                intermediate_size=2 * width,
                num_hidden_layers=layers,
                num_attention_heads=HEADS,
                num_key_value_heads=HEADS,
                max_position_embeddings=256,
                tie_word_embeddings=True,
                bos_token_id=None,
                eos_token_id=None,
                pad_token_id=None,
            )
        )


def parameters_of(model: Any) -> int:
    """Numbers that are trained."""
    return sum(p.numel() for p in model.parameters())


def fit(
    model: Any,
    loss: Callable[[int], torch.Tensor],
    steps: int,
    rate: float,
    report: Callable[[float], None],
    each: Callable[[int], None] = lambda step: None,
) -> None:
    """Adam with a warm-up, and a rate that falls to nothing over the last third.

    Args:
        loss: of a step.
        each: is called behind every step.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 20, 3 * (1 - step / steps))
        optimizer.zero_grad()
        loss(step).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        each(step)
        report(step / steps)
