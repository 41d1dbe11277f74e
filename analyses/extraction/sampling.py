"""What a sampler would say: the probability it gives a known next token, in closed form.

Source: Hayes et al. 2024 (2410.19482), (n, p)-discoverable extraction. The order is that of `transformers`: temperature,
then top-k, then top-p, each renormalised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampler:
    """How the next token is drawn.

    Attributes:
        temperature: 0 is greedy; 1 leaves the model's distribution as it is.
        top_k: only the k likeliest tokens; 0 is all of them.
        top_p: only the likeliest tokens that together reach this mass; 1 is all of them.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __str__(self) -> str:
        if self.temperature == 0:
            return "greedy"
        parts = [f"temperature {self.temperature:g}"]
        parts += [f"top-k {self.top_k}"] if self.top_k else []
        parts += [f"top-p {self.top_p:g}"] if self.top_p < 1 else []
        return ", ".join(parts)


def log_q(logits: Tensor, targets: Tensor, sampler: Sampler) -> Tensor:
    """ln of the probability that the sampler draws each target; -inf where it never would.

    Args:
        logits: (..., d_vocab), float32.
        targets: (...), token ids.
    """
    own = logits.gather(-1, targets[..., None])[..., 0]
    if sampler.temperature == 0:
        # argmax, not equality with the maximum: of two equal logits greedy decoding takes the first.
        return torch.where(logits.argmax(-1) == targets, 0.0, -math.inf)
    scaled, mine = logits / sampler.temperature, own / sampler.temperature
    if not sampler.top_k and sampler.top_p >= 1:
        return mine - scaled.logsumexp(-1)
    k = min(sampler.top_k, logits.shape[-1]) if sampler.top_k else logits.shape[-1]
    kept = scaled.topk(k, dim=-1)  # from the likeliest down; all of them is a sort
    place = kept.indices == targets[..., None]
    total = kept.values.logsumexp(-1)
    inside = place.any(-1)
    if sampler.top_p < 1:
        mass = (kept.values - total[..., None]).exp()
        before = mass.cumsum(-1) - mass
        nucleus = before < sampler.top_p
        nucleus[..., 0] = True  # at least one token stays
        inside &= (place & nucleus).any(-1)
        total = kept.values.masked_fill(~nucleus, -math.inf).logsumexp(-1)
    return torch.where(inside, mine - total, -math.inf)


def tries(log_p: float, chance: float) -> float:
    """How many independent samples contain the suffix at least once with probability `chance`; inf if never.

    Args:
        log_p: ln p_z of one sample.
        chance: the p of (n, p), in (0, 1).
    """
    if log_p == -math.inf:
        return math.inf
    if log_p >= 0:
        return 1.0
    return max(1.0, math.log1p(-chance) / _log_miss(log_p))


def hit(log_p: float, n: float) -> float:
    """Probability that n independent samples contain the suffix at least once."""
    if log_p == -math.inf:
        return 0.0
    return 1.0 if log_p >= 0 else -math.expm1(n * _log_miss(log_p))


def _log_miss(log_p: float) -> float:
    """ln(1 - p_z) without loss when p_z is tiny."""
    return math.log1p(-math.exp(log_p)) if log_p > -30 else -math.exp(log_p)
