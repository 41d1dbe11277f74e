"""Single neurons read as a memory: what the key fires on, and what the value promotes (Geva et al.
2021, 2022).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.modules.ffn_map.constants import neuron_name
from hooks.neurons import promoted

if TYPE_CHECKING:
    from analyses.measures.capability_prompts import CapabilityPrompt
    from analyses.modules.ffn_map.choosing import NeuronTable
    from analyses.modules.ffn_map.reading import LayerActivity
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

TOKENS = 10
"""Promoted most, and least."""
_BEFORE = 12  # tokens of context that are shown
PROMOTES, SUPPRESSES = WAYS = ("promotes", "suppresses")


def shown_neurons(
    neurons: NeuronTable,
    picked: Sequence[tuple[int, int]],
    most: int,
) -> np.ndarray:
    """Rows of the neurons that have a card: those that were named, then the best of each capability
    in turn.
    """
    row_of = {at: row for row, at in enumerate(zip(neurons.layer, neurons.number, strict=True))}
    rows = [row_of[at] for at in picked if at in row_of]
    best = np.argsort(-np.where(neurons.always[:, None], 0, neurons.precision), axis=0)[:most]
    return np.array(list(dict.fromkeys([*rows, *map(int, best.ravel())])))


def context_rows(
    model: InstrumentedModel,
    shown: Sequence[tuple[int, int]],
    activity: Mapping[int, LayerActivity],
    prompts: Sequence[CapabilityPrompt],
) -> Iterator[dict[str, Any]]:
    """Where each neuron is most active: the token and what stands before it, each of another
    prompt.
    """
    for layer, number in shown:
        of = activity[layer]
        for place in range(len(of.top)):
            prompt, pos = int(of.top_prompt[place, number]), int(of.top_pos[place, number])
            if prompt < 0:
                continue
            ids = prompts[prompt].ids
            yield {
                "neuron": neuron_name(layer, number),
                "place": place,
                "before": model.text.decode(list(ids[max(0, pos - _BEFORE) : pos])),
                "token": model.text.decode([ids[pos]]),
                "activation": float(of.top[place, number]),
                "capability": prompts[prompt].capability,
            }


def promoted_rows(
    model: InstrumentedModel, shown: Sequence[tuple[int, int]], progress: Progress
) -> Iterator[dict[str, Any]]:
    """The tokens that each neuron's value promotes most, and least."""
    layers = sorted({layer for layer, _ in shown})
    for n, layer in enumerate(layers):
        progress(n / len(layers), f"Reading values, layer {layer}")
        numbers = [number for where, number in shown if where == layer]
        logits, ids = promoted(model, layer, numbers, TOKENS)
        for row, number in enumerate(numbers):
            for way, word in enumerate(WAYS):
                tokens = model.token_strings(ids[row, way].tolist())
                for place, token in enumerate(tokens):
                    yield {
                        "neuron": neuron_name(layer, number),
                        "way": word,
                        "place": place,
                        "token": token,
                        "logit": float(logits[row, way, place]),
                    }
