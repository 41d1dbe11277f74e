"""Real decoding and real sampling, to compare with what is said from one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from analyses.measures.sampler import Sampler
from analyses.measures.windows import Window
from tests.helpers import tiny


def hf_probabilities(logits: torch.Tensor, sampler: Sampler) -> torch.Tensor:
    """What transformers samples from, by its own code."""
    from transformers import (
        LogitsProcessorList,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    if sampler.temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).float()
    warpers = LogitsProcessorList([TemperatureLogitsWarper(sampler.temperature)])
    if sampler.top_k:
        warpers.append(TopKLogitsWarper(sampler.top_k))
    if sampler.top_p < 1:
        warpers.append(TopPLogitsWarper(sampler.top_p))
    return warpers(None, logits.clone()).softmax(-1)


def made_windows(model: Any, n: int = 12, prefix: int = 7, suffix: int = 9) -> list[Window]:
    """Half of them what the model says anyway, for some tokens or all; half random."""
    random = np.random.default_rng(0)
    made = []
    for i in range(n):
        ids = random.integers(1, tiny.VOCABULARY, prefix + suffix)
        if i % 2:
            good = suffix if i % 4 == 1 else i % suffix
            with torch.no_grad():
                given = torch.from_numpy(ids[None, :prefix])
                for _ in range(good):
                    given = torch.cat(
                        [
                            given,
                            model.module(input_ids=given).logits[:, -1].argmax(-1, keepdim=True),
                        ],
                        1,
                    )
            ids[: prefix + good] = given[0].numpy()
        made.append(
            Window(
                i,
                0,
                (0,) * (i % 3 == 0),
                tuple(map(int, ids[:prefix])),
                tuple(map(int, ids[prefix:])),
            )
        )
    return made
