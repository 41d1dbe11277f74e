"""What a sampler would say: the probability it gives a known next token, in closed form.

Source: Hayes et al. 2024 (2410.19482), (n, p)-discoverable extraction. The order is that of
`transformers`: temperature, then top-k, then top-p, each renormalised.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from analyses.measures.sampler import Sampler


def log_q(logits: Tensor, targets: Tensor, sampler: Sampler) -> Tensor:
    """ln of the probability that the sampler draws each target; -inf where it never would.

    Equal logits, which half precision makes often, are treated as `generate` treats them: top-k
    keeps every token as likely as the k-th, and at the edge of the nucleus the ones that its
    sorting puts last stay.

    Args:
        logits: (..., d_vocab), float32.
        targets: (...), token ids.
    """
    if sampler.temperature == 0:
        # argmax, not equality with the maximum: of two equal logits greedy decoding takes the
        # first.
        return torch.where(logits.argmax(-1) == targets, 0.0, -math.inf)
    scaled = logits if sampler.temperature == 1 else logits / sampler.temperature
    if not 0 < sampler.top_k < logits.shape[-1]:
        return _log_share(_nucleus(scaled, sampler.top_p)[0], targets)
    best = scaled.topk(sampler.top_k + 1, dim=-1)
    kth = best.values[..., -2]
    place = best.indices[..., :-1] == targets[..., None]
    nucleus, unsure = _nucleus(best.values[..., :-1], sampler.top_p)
    drawn = torch.where(place.any(-1), _log_share(nucleus, place.long().argmax(-1)), -math.inf)
    unsure |= kth == best.values[..., -1]  # more than k stay
    if unsure.any():
        whole = scaled[unsure]
        whole.masked_fill_(whole < kth[unsure][..., None], -math.inf)
        drawn[unsure] = _log_share(_nucleus(whole, sampler.top_p)[0], targets[unsure])
    return drawn


def _nucleus(scores: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """Scores (..., n) with -inf outside the smallest set of likeliest tokens whose mass is at least
    `top_p`; and whether (...) some of several equal scores are inside and others outside: which
    these are depends on how all were sorted.
    """
    if top_p >= 1:
        return scores, scores.new_zeros(scores.shape[:-1], dtype=torch.bool)
    rising, order = scores.sort(dim=-1)
    outside = rising.softmax(-1).cumsum(-1) <= 1 - top_p
    outside[..., -1] = False  # at least one token stays
    split = ((rising[..., 1:] == rising[..., :-1]) & (outside[..., 1:] != outside[..., :-1])).any(
        -1
    )
    return (
        scores.masked_fill(torch.empty_like(outside).scatter_(-1, order, outside), -math.inf),
        split,
    )


def _log_share(scores: Tensor, targets: Tensor) -> Tensor:
    """ln of the softmax of scores (..., n) at `targets` (...)."""
    # The highest is taken off first: near temperature 0 the scores are too large for their
    # differences to be kept.
    highest = scores.amax(-1)
    total = (scores - highest[..., None]).exp_().sum(-1).log_()
    return scores.gather(-1, targets[..., None])[..., 0] - highest - total


def queries_needed(log_p: float, chance: float) -> float:
    """How many independent samples contain the suffix at least once with probability `chance`; inf
    if never.

    Not rounded: `whole` gives the samples somebody has to draw.

    Args:
        log_p: ln p_z of one sample.
        chance: the p of (n, p), in (0, 1).
    """
    if log_p == -math.inf:
        return math.inf
    if log_p >= 0:
        return 1.0
    miss = _log_miss(log_p)
    if miss == 0:  # so improbable that a float cannot say it
        return math.inf
    return max(1.0, math.log1p(-chance) / miss)


def rounded_queries(samples: float) -> float:
    """Samples as a whole number, enough for the probability that `queries_needed` was given.

    inf stays.
    """
    return (
        samples if math.isinf(samples) else float(math.ceil(samples * (1 - 1e-12)))
    )  # 1.0000000000000002 samples are 1


def extraction_probability(log_p: float, n: float) -> float:
    """Probability that n independent samples contain the suffix at least once."""
    if log_p == -math.inf:
        return 0.0
    return 1.0 if log_p >= 0 else -math.expm1(n * _log_miss(log_p))


def _log_miss(log_p: float) -> float:
    """ln(1 - p_z) without loss when p_z is tiny."""
    return math.log1p(-math.exp(log_p)) if log_p > -30 else -math.exp(log_p)
