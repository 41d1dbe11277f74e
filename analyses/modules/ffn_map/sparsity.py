"""How many of a layer's activations a capability needs: the smallest are masked, at every token and
in all layers, beside as many random ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.measures.capability_scores import answer_scores
from analyses.measures.statistics import mean_interval
from hooks.neurons import mask_smallest, neuron_counts

if TYPE_CHECKING:
    from analyses.measures.capability_prompts import CapabilityPrompt
    from analyses.measures.capability_scores import CapabilityScores
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

SMALLEST, RANDOM = MASKED = ("smallest", "random")
ALL = "all capabilities"


def masked_rows(
    model: InstrumentedModel,
    prompts: Sequence[CapabilityPrompt],
    base: CapabilityScores,
    shares: Sequence[float],
    seed: int,
    progress: Progress,
) -> Iterator[dict[str, Any]]:
    """For each share and capability: what the loss rises by when that share is masked."""
    owner = np.array([prompt.capability for prompt in prompts])
    layers = list(neuron_counts(model))
    planned = [(share, which) for share in shares for which in MASKED]
    for name in (ALL, *dict.fromkeys(owner)):
        for which in MASKED:
            yield {"share": 0.0, "masked": which, "capability": name, "rise": 0.0, "low": 0.0,
                   "high": 0.0, "n": int((owner == name).sum()) or len(owner)}  # fmt: skip
    for n, (share, which) in enumerate(planned):
        words = f"Masking {100 * share:.0f} % of the activations, the {which}"
        part = progress.subprogress(n / len(planned), (n + 1) / len(planned))
        draw = torch.Generator().manual_seed(seed) if which == RANDOM else None
        with mask_smallest(model, layers, share, randomly=draw):
            scores = answer_scores(model, prompts, part, words)
        for name in (ALL, *dict.fromkeys(owner)):
            own = (owner == name) | (name == ALL)
            rise, (low, high) = mean_interval((scores.loss - base.loss)[own], owner[own] if
                                              name == ALL else None)  # fmt: skip
            yield {
                "share": share,
                "masked": which,
                "capability": name,
                "rise": rise,
                "low": low,
                "high": high,
                "n": int(own.sum()),
            }
