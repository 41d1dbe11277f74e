"""One pass over the prompts that choose neurons: what is kept of every neuron while they go by.

Of a token nothing is kept but where a neuron is most active, and of each prompt and neuron one
number; where those are more than `ROOM`, layers are read in blocks, one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from analyses.measures.capability_scores import batches
from hooks import out_of_memory
from hooks.eager_eval import steady
from hooks.neurons import neuron_counts, read_neurons

if TYPE_CHECKING:
    from analyses.measures.capability_prompts import CapabilityPrompt
    from analyses.modules.ffn_map.coactivation import Moments
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

ROOM = 256 * 2**20
"""Bytes of (prompt, neuron) numbers that are held at once."""
CONTEXTS = 6
"""Prompts in which a neuron is most active that are kept."""


@dataclass
class LayerActivity:
    """What the neurons of one layer did.

    Attributes:
        size: mean |activation| of each prompt's tokens, (prompt, neuron); or the largest.
        mean_size: the same as the mean, whichever `size` is.
        mean: mean signed activation, every prompt counting the same, (neuron,).
        top: the largest |activation| of a prompt, signed, (CONTEXTS, neuron), largest first.
        top_prompt, top_pos: where that was.
    """

    size: np.ndarray
    mean_size: np.ndarray
    mean: Tensor
    top: Tensor
    top_prompt: Tensor
    top_pos: Tensor

    @classmethod
    def of_nothing(cls, prompts: int, neurons: int, score: str) -> LayerActivity:
        size = np.zeros((prompts, neurons), np.float32)
        return cls(
            size,
            size if score == "mean" else np.zeros((prompts, neurons), np.float32),
            torch.zeros(neurons, dtype=torch.float64),
            torch.zeros(CONTEXTS, neurons),
            torch.full((CONTEXTS, neurons), -1),
            torch.full((CONTEXTS, neurons), -1),
        )

    def without_sizes(self) -> LayerActivity:
        """Means and contexts alone."""
        nothing = np.zeros((0, len(self.mean)), np.float32)
        return replace(self, size=nothing, mean_size=nothing)

    def add(self, rows: Sequence[int], batch: BatchActivity, score: str) -> None:
        """What was noted of a batch, whose prompts have these numbers."""
        self.mean_size[rows] = batch.mean_size.numpy()
        if score == "largest":
            self.size[rows] = batch.largest.abs().numpy()
        self.mean += batch.mean.double().sum(0) / len(self.size)
        numbers = torch.tensor(rows)[:, None].expand_as(batch.largest)
        values = torch.cat([self.top, batch.largest])
        best = values.abs().topk(CONTEXTS, 0).indices
        self.top = values.gather(0, best)
        self.top_prompt = torch.cat([self.top_prompt, numbers]).gather(0, best)
        self.top_pos = torch.cat([self.top_pos, batch.pos]).gather(0, best)


@dataclass(frozen=True)
class BatchActivity:
    """What is noted of one layer in one batch; all are (prompt, neuron).

    Attributes:
        mean_size, mean: of |activation|, and signed.
        largest: the activation that is furthest from zero; pos: which token of the prompt has it.
    """

    mean_size: Tensor
    mean: Tensor
    largest: Tensor
    pos: Tensor

    @classmethod
    def of(cls, x: Tensor, counted: Tensor) -> BatchActivity:
        """From (batch, pos, d_mlp) activations, and which columns count, (batch, pos)."""
        x = x.float() * counted[..., None]
        lengths = counted.sum(1).clamp(min=1)[:, None]
        size = x.abs()
        column = size.max(1).indices
        # A column of the batch is padding and then the prompt, whose first token does not count.
        pos = column - (counted.shape[1] - counted.sum(1) - 1)[:, None]
        kept = (size.sum(1) / lengths, x.sum(1) / lengths, x.gather(1, column[:, None])[:, 0], pos)
        return cls(*(each.cpu() for each in kept))


def layer_blocks(model: InstrumentedModel, prompts: int, score: str) -> list[list[int]]:
    """Layers that are read together, so that what is held of them has room."""
    blocks: list[list[int]] = []
    held = ROOM
    for layer, neurons in neuron_counts(model).items():
        size = prompts * neurons * 4 * (1 if score == "mean" else 2)
        if held + size > ROOM:
            blocks.append([])
            held = 0
        blocks[-1].append(layer)
        held += size
    return blocks


@torch.no_grad()
def read_layers(
    model: InstrumentedModel,
    prompts: Sequence[CapabilityPrompt],
    layers: Sequence[int],
    score: str,
    moments: Mapping[int, Moments],
    progress: Progress,
) -> dict[int, LayerActivity]:
    """By layer, what its neurons did while the prompts went by.

    Args:
        score: "mean" or "largest": what of a prompt's tokens `size` is.
        moments: by layer whose co-activation is counted as well; these are added to.
    """
    counts = neuron_counts(model)
    found = {
        layer: LayerActivity.of_nothing(len(prompts), counts[layer], score) for layer in layers
    }
    done = 0
    for rows in batches(model, prompts):
        progress(done / len(prompts), f"Reading neurons, prompt {done + 1} of {len(prompts)}")
        for part, (seen, together) in out_of_memory.results_in_parts(
            model, rows, lambda part: _one_pass(model, prompts, layers, moments, part)
        ):
            for layer, batch in seen.items():
                found[layer].add(part, batch, score)
            for layer, more in together.items():
                moments[layer].add(more)
        done += len(rows)
    return found


def _one_pass(
    model: InstrumentedModel,
    prompts: Sequence[CapabilityPrompt],
    layers: Sequence[int],
    moments: Mapping[int, Moments],
    rows: Sequence[int],
) -> tuple[dict[int, BatchActivity], dict[int, Moments]]:
    seen: dict[int, BatchActivity] = {}
    together: dict[int, Moments] = {}

    def take(layer: int, x: Tensor, counted: Tensor) -> None:
        seen[layer] = BatchActivity.of(x, counted)
        if layer in moments:
            together[layer] = moments[layer].of_batch(x, counted, rows)

    batch = model.batch([prompts[n].ids for n in rows])
    with read_neurons(model, layers, batch.lengths, take), steady(model.module):
        model.forward(**batch.kwargs(), logits_to_keep=1, use_cache=False)
    return seen, together
