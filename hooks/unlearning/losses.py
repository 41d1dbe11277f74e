"""What methods of unlearning minimise, for one text, as formulas of what the model says about it.

`log_p` are ln p of the predicted tokens, (target,); their sum is the log-probability of the text.
Logits are those of the predicted tokens.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


def ascent(log_p: Float[Tensor, " target"]) -> Float[Tensor, ""]:
    """Log-probability of the text, nats: gradient ascent on its loss."""
    return log_p.sum()


def likelihood(log_p: Float[Tensor, " target"]) -> Float[Tensor, ""]:
    """Negative log-probability of the text, nats."""
    return -log_p.sum()


def preference(
    log_p: Float[Tensor, " target"], before: Float[Tensor, " target"], beta: float
) -> Float[Tensor, ""]:
    """NPO: the text as the dispreferred answer, against the original model (Zhang et al. 2024,
    equation 3): -(2/β) ln σ(-β [ln p - ln p0]). Its gradient is that of `ascent` as β goes to 0.
    """
    return -2 / beta * functional.logsigmoid(-beta * (log_p.sum() - before.sum()))


def simple_preference(
    log_p: Float[Tensor, " target"], beta: float, gamma: float
) -> Float[Tensor, ""]:
    """SimNPO: the same without the original, by token (Fan et al. 2024, equation 4)."""
    return -2 / beta * functional.logsigmoid(-beta * log_p.mean() - beta * gamma)


def divergence(
    before: Float[Tensor, "target d_vocab"], now: Float[Tensor, "target d_vocab"]
) -> Float[Tensor, ""]:
    """KL(before ‖ now), summed over tokens, nats; both logits."""
    old = before.log_softmax(-1)
    return (old.exp() * (old - now.log_softmax(-1))).sum()


def self_distillation(
    before: Float[Tensor, "target d_vocab"],
    now: Float[Tensor, "target d_vocab"],
    wanted: Int[Tensor, " target"],
    beta: float,
) -> Float[Tensor, ""]:
    """UNDIAL: cross-entropy to the original's distribution with the true tokens' logits lowered by
    β (Dong et al. 2024), mean over tokens.
    """
    lowered = before.scatter_add(1, wanted[:, None], torch.full_like(before[:, :1], -beta)).softmax(
        -1
    )
    return soft_cross_entropy(lowered, now)


def soft_cross_entropy(
    target: Float[Tensor, "target d_vocab"], now: Float[Tensor, "target d_vocab"]
) -> Float[Tensor, ""]:
    """-Σ target · ln softmax(now), mean over tokens."""
    return -(target * now.log_softmax(-1)).sum(-1).mean()


def cross_entropy(
    now: Float[Tensor, "target d_vocab"], labels: Int[Tensor, " target"]
) -> Float[Tensor, ""]:
    """To labels, mean over tokens."""
    return functional.cross_entropy(now, labels)
