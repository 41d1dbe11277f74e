"""How much of the answer the memory writes: directly, beside all that writes into the residual
stream, and what is left when a part writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch

from analyses.measures.statistics import wilson
from analyses.modules.memory_modules.fact_slots import Memories
from analyses.modules.memory_modules.questions import MemoryQuestion, says
from hooks.interventions import ablate
from hooks.memory_modules import recorded, switched_off

if TYPE_CHECKING:
    import pandas as pd

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

    in_layer = {place.layer: place for place in memories.places if not memories.stand_in}
    tried: list[tuple[str, str, int, Any]] = []
    if in_layer and len(memories.places) > 1:
        tried.append((f"all {len(memories.places)} memories", "memory", -1, None))
    for site, kind in _SITES.items():
        for layer in model.sites.get(site) or ():
            if kind == MLP and layer in in_layer:
                tried.append((f"the memory of layer {layer}", "memory", layer, in_layer[layer]))
            else:
                tried.append((f"the {kind} of layer {layer}", kind, layer, site))
    found = []
    for number, (name, kind, layer, what) in enumerate(tried):
        progress(number / len(tried), f"Switching off {name}")
        with ExitStack() as stack:
            if what is None:
                for place in memories.places:
                    stack.enter_context(switched_off(place))
            elif isinstance(what, str):
                stack.enter_context(ablate(model, site=what, layers=layer))
            else:
                stack.enter_context(switched_off(what))
            said = says(model, rows)
        right = sum(token == row.target for token, row in zip(said, rows, strict=True))
        low, high = wilson(right, len(rows))
        found.append((name, kind, layer, right / len(rows), low, high, len(rows)))
    columns = ["part", "kind", "layer", "recall", "low", "high", "n"]
    return pd.DataFrame(found, columns=columns)


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
            given = call.call.args[0].reshape(-1, call.call.args[0].shape[-1])[-1].float()
            out = call.call.output.reshape(-1, call.call.output.shape[-1])[-1].float()
            ratio = float(out.norm() / given.norm().clamp(min=1e-9))
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
