"""How much of the answer the memory writes: directly, beside all that writes into the residual
stream, and what is left when a part writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch

from analyses.measures.statistics import wilson
from analyses.modules.memory_modules.fact_slots import Memories, brought
from analyses.modules.memory_modules.questions import MemoryQuestion, says
from hooks.interventions import ablate
from hooks.memory_modules import recorded, switched_off

if TYPE_CHECKING:
    import pandas as pd

    from hooks.memory_modules import MemoryPlace
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

ATTENTION, MLP, RECURRENT = "attention", "MLP", "recurrent layer"
_SITES = {"attn_out": ATTENTION, "mixer_out": RECURRENT, "mlp_out": MLP}


def without_parts(
    model: InstrumentedModel,
    memories: Memories,
    rows: Sequence[MemoryQuestion],
    progress: Progress,
) -> pd.DataFrame:
    """Recall with each part writing nothing: columns part, kind, layer, recall, low, high, n. The
    memories first, all of them together, then one by one.
    """
    import pandas as pd

    places = [] if memories.stand_in else memories.places
    in_layer: dict[int, list[MemoryPlace]] = {}
    for place in places:
        if place.layer is not None:
            in_layer.setdefault(place.layer, []).append(place)
    tried: list[tuple[str, str, int, str | list[MemoryPlace]]] = []
    if len(places) > 1:
        tried.append((f"all {len(places)} memories", "memory", -1, places))
    for layer, here in in_layer.items():
        which = "memory" if len(here) == 1 else f"{len(here)} memories"
        tried.append((f"the {which} of layer {layer}", "memory", layer, here))
    for site, kind in _SITES.items():
        for layer in model.sites.get(site) or ():
            if kind != MLP or not _are_the_mlp(model, layer, in_layer.get(layer, ())):
                tried.append((f"the {kind} of layer {layer}", kind, layer, site))
    found = []
    for number, (name, kind, layer, what) in enumerate(tried):
        progress(number / len(tried), f"Switching off {name}")
        with ExitStack() as stack:
            if isinstance(what, str):
                stack.enter_context(ablate(model, site=what, layers=layer))
            else:
                for place in what:
                    stack.enter_context(switched_off(place))
            said = says(model, rows)
        right = sum(token == row.target for token, row in zip(said, rows, strict=True))
        low, high = wilson(right, len(rows))
        found.append((name, kind, layer, right / len(rows), low, high, len(rows)))
    columns = ["part", "kind", "layer", "recall", "low", "high", "n"]
    return pd.DataFrame(found, columns=columns)


def _are_the_mlp(model: InstrumentedModel, layer: int, places: Sequence[MemoryPlace]) -> bool:
    """Whether a memory stands in the MLP's place: it lies in it, and nothing comes out beside it
    (as the layer does that a LoRA adapter is around).
    """
    mlp = model.layout.blocks[layer].mlp
    inside = set() if mlp is None else set(mlp.modules())
    return any(place.module in inside and place.adapter.rest is None for place in places)


def gates(
    model: InstrumentedModel, memories: Memories, rows: Sequence[MemoryQuestion]
) -> pd.DataFrame:
    """By memory and head: the mean gate at the last token, the mean sum of the weights there, and
    the length of what the memory gives over that of what its layer was given. Columns memory,
    head, gate (NaN where there is none), mass, length.
    """
    import pandas as pd

    lengths: dict[str, list[float]] = {}
    seen: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for row in rows:
        with recorded(memories.places) as calls:
            model.next_logits([list(row.ids)])
        for call in calls:
            reads = call.reads
            inputs = (*call.call.args, *call.call.kwargs.values())
            first = next(x for x in inputs if isinstance(x, torch.Tensor))
            given = first.reshape(-1, first.shape[-1])[-1].float()
            ratio = float(brought(call).norm() / given.norm().clamp(min=1e-9))
            lengths.setdefault(call.place.name, []).append(ratio)
            for head in range(reads.weight.shape[2]):
                gate = float("nan") if reads.gate is None else float(reads.gate[0, -1, head])
                mass = float(reads.weight[0, -1, head].sum())
                seen.setdefault((call.place.name, head), []).append((gate, mass))
    made = []
    for (name, head), values in seen.items():
        gate, mass = torch.tensor(values).mean(0).tolist()
        made.append((name, head, gate, mass, float(torch.tensor(lengths[name]).mean())))
    return pd.DataFrame(made, columns=["memory", "head", "gate", "mass", "length"])
