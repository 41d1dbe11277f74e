"""The map: what is known of every neuron, block by block of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.modules.ffn_map.choosing import NeuronTable
from analyses.modules.ffn_map.constants import neuron_name
from analyses.modules.ffn_map.precision import NullOfMaximum, by_capability, ranks
from analyses.modules.ffn_map.reading import layer_blocks, read_layers
from hooks.neurons import values_of

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from analyses.measures.capability_prompts import CapabilitySet
    from analyses.modules.ffn_map.coactivation import Moments
    from analyses.modules.ffn_map.params import Params
    from analyses.modules.ffn_map.reading import LayerActivity
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


@dataclass(frozen=True)
class NeuronMap:
    """Every neuron, and by layer where it was most active (sizes are let go)."""

    neurons: NeuronTable
    activity: Mapping[int, LayerActivity]


def map_neurons(
    model: InstrumentedModel,
    sets: Sequence[CapabilitySet],
    params: Params,
    moments: Mapping[int, Moments],
    progress: Progress,
) -> NeuronMap:
    """Read the choosing prompts, score every neuron, and deal the labels at random.

    Args:
        moments: by layer whose co-activation is counted on the way; these are added to.
    """
    prompts = [prompt for each in sets for prompt in each.choosing]
    lengths = [len(each.choosing) for each in sets]
    rows = np.split(np.arange(len(prompts)), np.cumsum(lengths)[:-1])
    members = {each.name: part for each, part in zip(sets, rows, strict=True)}
    null = NullOfMaximum(lengths, params.permutations, params.seed)
    found: dict[str, list[np.ndarray]] = {}
    activity: dict[int, LayerActivity] = {}
    blocks = layer_blocks(model, len(prompts), params.score)
    for n, layers in enumerate(blocks):
        part = progress.subprogress(n / len(blocks), (n + 1) / len(blocks))
        read = read_layers(
            model, prompts, layers, params.score, moments, part.subprogress(0.0, 0.8)
        )
        ranked = ranks(np.concatenate([each.size for each in read.values()], 1), params.seed)
        active, silent = by_capability(ranked, members)
        dealing = part.subprogress(0.8, 1.0)
        for deal in null.add(ranked):
            dealing((deal + 1) / len(null), f"Labels dealt at random, {deal + 1} of {len(null)}")
        for layer, each in read.items():
            size = np.stack([each.mean_size[part].mean(0) for part in members.values()], 1)
            length = values_of(model, layer).norm(dim=-1).cpu().numpy()
            found.setdefault("contribution", []).append(size * length[:, None])
            found.setdefault("mean", []).append(each.mean.numpy())
            found.setdefault("layer", []).append(np.full(len(length), layer))
            found.setdefault("number", []).append(np.arange(len(length)))
            # What is left of a layer is small; of each prompt and neuron nothing is kept.
            activity[layer] = each.without_sizes()
        found.setdefault("precision", []).append(active)
        found.setdefault("silent", []).append(silent)
    whole: dict[str, Any] = {name: np.concatenate(parts) for name, parts in found.items()}
    threshold = np.array([null.threshold(k) for k in range(len(sets))])
    names = [each.name for each in sets]
    return NeuronMap(NeuronTable(names, threshold=threshold, **whole), activity)


def precision_array(neurons: NeuronTable) -> xr.DataArray:
    """Average precision, (layer, neuron, capability)."""
    import xarray as xr

    layers = np.unique(neurons.layer)
    place = {layer: n for n, layer in enumerate(layers)}
    shape = (len(layers), int(neurons.number.max()) + 1, len(neurons.capabilities))
    values = np.full(shape, np.nan, np.float16)
    values[[place[layer] for layer in neurons.layer], neurons.number] = neurons.precision
    return xr.DataArray(
        values,
        dims=("layer", "neuron", "capability"),
        coords={"layer": layers, "capability": list(neurons.capabilities)},
    )


def capability_frame(neurons: NeuronTable, sets: Sequence[CapabilitySet]) -> pd.DataFrame:
    """One row per capability; what is measured of answers comes later."""
    import pandas as pd

    total = sum(len(each.choosing) for each in sets)
    rows = []
    for k, each in enumerate(sets):
        best = int(neurons.precision[:, k].argmax())
        lengths = [len(prompt.ids) for prompt in (*each.choosing, *each.held_out)]
        rows.append(
            {
                "capability": each.name,
                "prompts": len(each.choosing),
                "held_out": len(each.held_out),
                "tokens": float(np.mean(lengths)),
                "chance": len(each.choosing) / total,
                "threshold": float(neurons.threshold[k]),
                "above": int(neurons.above[:, k].sum()),
                "silent": int((neurons.silent[:, k] > neurons.threshold[k]).sum()),
                "best": float(neurons.precision[best, k]),
                "best_neuron": neuron_name(neurons.layer[best], neurons.number[best]),
            }
        )
    return pd.DataFrame(rows)


def layer_frame(neurons: NeuronTable) -> pd.DataFrame:
    """By layer and capability, how many neurons are above chance."""
    import pandas as pd

    rows = []
    for layer in np.unique(neurons.layer):
        own = neurons.layer == layer
        for k, name in enumerate(neurons.capabilities):
            above = int(neurons.above[own, k].sum())
            rows.append(
                {
                    "layer": int(layer),
                    "capability": name,
                    "above": above,
                    "share": above / int(own.sum()),
                    "mean": float(neurons.precision[own, k].mean()),
                }
            )
    return pd.DataFrame(rows)


def set_frame(
    neurons: NeuronTable,
    k: int,
    sets: Mapping[str, np.ndarray],
    controls: Mapping[str, np.ndarray],
) -> pd.DataFrame:
    """The neurons of each set with their matched ones, in the order in which they were matched."""
    import pandas as pd

    rows = []
    names = list(neurons.capabilities)
    for name, members in sets.items():
        number = names.index(name)
        own = neurons.contribution[:, number]
        elsewhere = np.delete(neurons.contribution, number, axis=1).mean(1)
        for rank, row in enumerate(members):
            control = controls[name][rank]
            rows.append(
                {
                    "k": k,
                    "capability": name,
                    "rank": rank,
                    "neuron": neuron_name(neurons.layer[row], neurons.number[row]),
                    "layer": int(neurons.layer[row]),
                    "number": int(neurons.number[row]),
                    "precision": float(neurons.precision[row, number]),
                    "contribution": float(own[row]),
                    "elsewhere": float(elsewhere[row]),
                    "control": neuron_name(neurons.layer[control], neurons.number[control])
                    if control >= 0
                    else "",
                }
            )
    return pd.DataFrame(rows)
