"""Where the weights' answer is reached: causal tracing of the question alone (Meng et al. 2022).

The subject's embeddings get noise, then one token's state gets its clean value back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from analyses.prompt.provenance.prompt_parts import PromptParts
from analyses.prompt.provenance.subject import QuestionSubject
from hooks.sweeps.embedding_noise import embedding_sigma
from hooks.sweeps.restoration import CorruptedPrompt, Restored, restore

if TYPE_CHECKING:
    import xarray as xr

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_DRAWS, _STD = 3, 3.0  # of noise; in standard deviations of the subject's embeddings


def trace_question(
    model: InstrumentedModel,
    asked: PromptParts,
    subject: QuestionSubject,
    answer: Sequence[int],
    seed: int,
    progress: Progress,
) -> tuple[xr.DataArray, list[str], float, float]:
    """What comes back of the probability of the answer's first token.

    Returns:
        Points of probability, (layer, pos), NaN before the subject; the tokens; the probability as
        it is, and with noise on the subject.
    """
    import xarray as xr

    beginning = list(model.text.beginning)
    begin = asked.question[0]
    ids = asked.ids if begin == len(beginning) else [*beginning, *asked.ids[begin:]]
    shift = len(ids) - len(asked.ids)
    mentions = [(a + shift, b + shift) for a, b in asked.in_question(subject.mentions)]
    first = min(start for start, _ in mentions)
    named = [token for start, stop in mentions for token in ids[start:stop]]
    sigma = embedding_sigma(model, named)
    prompts = []
    for draw in range(_DRAWS):
        generator = torch.Generator().manual_seed(seed * _DRAWS + draw)
        noise = torch.zeros(len(ids), model.card.d_model, dtype=torch.float32)
        for start, stop in mentions:
            noise[start:stop] = (
                _STD
                * sigma
                * torch.randn(
                    stop - start, noise.shape[1], generator=generator, dtype=torch.float32
                )
            )
        prompts.append(CorruptedPrompt(ids, ids, first, answer[0], noise))
    part = Restored()
    found = restore(model, prompts, [part], progress)
    corrupted = found.corrupted.numpy()
    back = [each.numpy() - low for each, low in zip(found.restored[0], corrupted, strict=True)]
    values = np.full((model.n_layers, len(ids)), np.nan, dtype="float32")
    values[part.centres(model), first:] = np.mean(back, axis=0)
    array = xr.DataArray(
        100 * values,
        dims=("layer", "pos"),
        coords={"layer": range(model.n_layers), "pos": range(len(ids))},
    )
    return array, model.prompt_strings(ids), float(found.clean.mean()), float(corrupted.mean())
