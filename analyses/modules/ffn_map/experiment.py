"""The run: the parts that are asked for, one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.measures.capability_scores import CapabilityScores, answer_scores
from analyses.measures.capability_sets import capability_sets, named
from analyses.measures.untrained_twin import untrained
from analyses.modules.ffn_map import (
    ablation,
    choosing,
    claims,
    findings,
    key_value,
    mapping,
    partitions,
    sparsity,
)
from analyses.modules.ffn_map import params as asked
from analyses.modules.ffn_map.coactivation import Moments
from analyses.modules.ffn_map.constants import NAME, neuron_name
from analyses.modules.ffn_map.costs import cost
from analyses.modules.ffn_map.parts import PARTS
from hooks.neurons import check_neurons, neuron_counts, reason_without_neurons
from workbench.cost import stages
from workbench.errors import BadInput, Unfit
from workbench.parts import running
from workbench.result import Result
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    import pandas as pd

    from analyses.measures.capability_prompts import CapabilityPrompt, CapabilitySet
    from analyses.modules.ffn_map.mapping import NeuronMap
    from analyses.modules.ffn_map.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


@dataclass(frozen=True)
class _HeldOut:
    """Prompts that chose nothing, whose each is, and how they are answered without a change."""

    prompts: list[CapabilityPrompt]
    owner: np.ndarray
    base: CapabilityScores


@ordinary
@torch.no_grad()
def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Map the neurons of the feed-forward layers. The package's docstring has the steps.

    Raises:
        BadInput: prompts that will not do, or a neuron or layer that the model does not have.
        Unfit: no neuron of this model can be read.
    """
    reason = reason_without_neurons(model)
    if reason is not None:
        raise Unfit(
            f"{model.card.name} has no neurons to map: {reason}.",
            "a model with feed-forward layers that are plain or gated",
            "Choose another model.",
        )
    parts = running(PARTS, params)
    layers = _grouped_layers(model, params) if "partitions" in parts else []
    check_neurons(model, asked.picked_neurons(params))
    sets = capability_sets(
        model, named(params.capabilities), params.path, params.prompts, params.held_out,
        params.tokens, params.seed,
    )  # fmt: skip
    planned = cost(model, params)
    left = stages(progress, model, {name: planned[name] for name in planned if name in parts})
    result = Result(NAME)
    if "map" in parts:
        moments = {n: Moments.of_nothing(neuron_counts(model)[n]) for n in layers}
        found = mapping.map_neurons(model, sets, params, moments, left["map"])
        _show_map(result, found, sets)
        findings.add_unmapped(result, model.n_layers, len(neuron_counts(model)))
        progress.checkpoint(result)
        if "partitions" in parts:
            _group(result, found, moments, params.seed, left["partitions"])
        if "key-value" in parts:
            _read_cards(result, model, found, sets, params, left["key-value"])
    if {"ablation", "sparsity"} & parts:
        held = _held_out(result, model, sets, left.get("ablation") or left["sparsity"])
        if "ablation" in parts:
            _ablate(result, model, found, held, params, left["ablation"])
            progress.checkpoint(result)
        if "sparsity" in parts:
            result.tables["sparsity"] = _frame(
                sparsity.masked_rows(
                    model, held.prompts, held.base, asked.shares(params), params.seed,
                    left["sparsity"],
                )
            )  # fmt: skip
            findings.add_sparsity(result)
    if "untrained" in parts:
        _read_twin(result, model, sets, params, left["untrained"])
    claims.add_claims(result)
    progress(1.0, "Done")
    return result


def _frame(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(list(rows))


def _grouped_layers(model: InstrumentedModel, params: Params) -> list[int]:
    layers, wanted = list(neuron_counts(model)), asked.picked_layers(params)
    missing = [layer for layer in wanted if layer not in layers]
    if missing:
        raise BadInput(
            f"{model.card.name} has no neurons in layer {missing[0]}.",
            f"some of {layers[0]} to {layers[-1]}",
            "Choose another.",
        )
    return partitions.partition_layers(layers, wanted)


def _show_map(result: Result, found: NeuronMap, sets: list[CapabilitySet]) -> None:
    neurons = found.neurons
    result.arrays["precision"] = mapping.precision_array(neurons)
    result.tables["capabilities"] = mapping.capability_frame(neurons, sets)
    result.tables["layers"] = mapping.layer_frame(neurons)
    findings.add_map(result, neurons)


def _held_out(
    result: Result, model: InstrumentedModel, sets: list[CapabilitySet], progress: Progress
) -> _HeldOut:
    """The held-out prompts as the model answers them."""
    import pandas as pd

    prompts = [prompt for each in sets for prompt in each.held_out]
    owner = np.array([prompt.capability for prompt in prompts])
    base = answer_scores(
        model, prompts, progress.subprogress(0.0, 0.0), "Reading held-out prompts as they are"
    )
    result.tables["prompts"] = pd.DataFrame(
        {
            "prompt": range(len(prompts)),
            "capability": owner,
            "text": [model.text.decode(list(p.prompt)) for p in prompts],
            "answer": [model.text.decode(list(p.ids[-p.answer :])) for p in prompts],
        }
    )
    if "capabilities" in result.tables:
        table = result.tables["capabilities"]
        for name, values in (("loss", base.loss), ("right", base.right)):
            table[name] = [float(values[owner == each].mean()) for each in table["capability"]]
    return _HeldOut(prompts, owner, base)


def _ablate(
    result: Result,
    model: InstrumentedModel,
    found: NeuronMap,
    held: _HeldOut,
    params: Params,
    progress: Progress,
) -> None:
    import pandas as pd

    neurons, ks = found.neurons, asked.sizes(params)
    frames = []
    for k in ks:
        top = choosing.top_sets(neurons, k)
        frames.append(
            mapping.set_frame(neurons, k, top, choosing.matched(neurons, top, params.seed))
        )
    result.tables["sets"] = pd.concat(frames, ignore_index=True)
    ablations = ablation.ablate_sets(
        model, neurons, held.prompts, ks, params.controls, params.seed, progress
    )
    about = (ablations, held.base, held.owner)
    result.tables["matrix"] = _frame(ablation.matrix_rows(*about))
    selective = _frame(ablation.selectivity_rows(*about))
    if len(selective):
        selective["verdict"] = selective.apply(findings.verdict, axis=1)
    result.tables["selectivity"] = selective
    result.tables["answers"] = _frame(ablation.answer_rows(model, ablations, held.base))
    findings.add_selectivity(result, ks[0])
    findings.add_pairs(result, *about, ks[0])


def _read_cards(
    result: Result,
    model: InstrumentedModel,
    found: NeuronMap,
    sets: list[CapabilitySet],
    params: Params,
    progress: Progress,
) -> None:
    neurons, prompts = found.neurons, [prompt for each in sets for prompt in each.choosing]
    rows = key_value.shown_neurons(neurons, asked.picked_neurons(params), params.cards)
    shown = [(int(neurons.layer[row]), int(neurons.number[row])) for row in rows]
    result.tables["cards"] = _frame(
        {
            "neuron": neuron_name(*at),
            "layer": at[0],
            "number": at[1],
            "capability": name,
            "precision": float(neurons.precision[row, k]),
            "contribution": float(neurons.contribution[row, k]),
            "above": bool(neurons.above[row, k]),
            "always": bool(neurons.always[row]),
        }
        for row, at in zip(rows, shown, strict=True)
        for k, name in enumerate(neurons.capabilities)
    )
    result.tables["contexts"] = _frame(
        key_value.context_rows(model, shown, found.activity, prompts)
    )
    result.tables["promoted"] = _frame(key_value.promoted_rows(model, shown, progress))


def _group(
    result: Result,
    found: NeuronMap,
    moments: dict[int, Moments],
    seed: int,
    progress: Progress,
) -> None:
    import pandas as pd

    quality, experts, groups = [], [], []
    for n, (layer, each) in enumerate(moments.items()):
        part = progress.subprogress(n / len(moments), (n + 1) / len(moments))
        row, rows, members = partitions.partition(layer, each, found.neurons, seed, part)
        quality.append(row)
        experts += rows
        groups.append(partitions.group_frame(layer, members, each.step))
    result.tables["partitions"] = pd.DataFrame(quality)
    result.tables["experts"] = pd.DataFrame(experts)
    result.tables["groups"] = pd.concat(groups, ignore_index=True)
    findings.add_partitions(result)


def _read_twin(
    result: Result,
    model: InstrumentedModel,
    sets: list[CapabilitySet],
    params: Params,
    progress: Progress,
) -> None:
    """The same map of a network that has learned nothing."""
    twin = mapping.map_neurons(untrained(model, params.seed), sets, params, {}, progress)
    neurons = twin.neurons
    result.tables["capabilities"]["untrained"] = neurons.above.sum(0)
    findings.add_twin(result, int(neurons.above.any(1).sum()), len(neurons.layer))
