"""The run: the parts that are asked for, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from analyses.state.recurrent_state import (
    fading,
    forgotten,
    gates_and_kernels,
    pair_changes,
    patching,
    probe_tables,
    reading,
    reading_findings,
    router,
    spans,
    wiping,
)
from analyses.state.recurrent_state.constants import NAME
from analyses.state.recurrent_state.costs import stages as costs
from analyses.state.recurrent_state.followed_answer import ask
from analyses.state.recurrent_state.layers import recurrent_layers
from analyses.state.recurrent_state.parts import PARTS
from analyses.state.recurrent_state.shown import choose
from workbench.cost import of_parts, stages
from workbench.parts import running
from workbench.result import Result
from workbench.torch_modes import ordinary

if TYPE_CHECKING:
    from analyses.state.recurrent_state.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


@ordinary
@torch.no_grad()
def run(model: InstrumentedModel, params: Params, progress: Progress) -> Result:
    """Look at what the states hold. The package's docstring has the steps.

    Raises:
        BadInput: a layer without a state, pairs or a prompt that cannot be read.
    """
    import pandas as pd

    parts = running(PARTS, params)
    layers, unreadable = recurrent_layers(model, params.layers)
    shown = choose(model, params)
    left = stages(progress, model, of_parts(costs(model, params), parts))
    result = Result(NAME)
    words = model.prompt_strings(shown.ids)
    result.tables["tokens"] = pd.DataFrame({"pos": range(len(words)), "token": words})
    result.provenance.notes["layers"] = ", ".join(map(str, layers))
    if shown.vocabulary is not None:
        result.provenance.notes["pairs"] = shown.vocabulary.says
    if "reading" in parts:
        reading.read(result, model, shown.ids, layers, left["reading"])
        if shown.row is not None and "shares" in result.arrays:
            reading.add_needles(result, shown.row)
        reading_findings.add(result, model, unreadable)
        progress.checkpoint(result)
    if "pairs" in parts:
        pair_changes.measure(result, model, params, shown, layers, left["pairs"])
        progress.checkpoint(result)
    if "interference" in parts:
        forgotten.measure(result, model, params, shown, layers, left["interference"])
        progress.checkpoint(result)
    if "probes" in parts:
        probe_tables.measure(result, model, params, shown, layers, left["probes"])
    if "fading" in parts:
        fading.measure(result, model, params, shown, layers, left["fading"])
    if "router" in parts:
        router.measure(result, model, params, shown, left["router"])
    if "kernels" in parts:
        gates_and_kernels.measure(result, model, shown.ids, layers, params.seed, left["kernels"])
    if {"wiping", "spans", "patching"} & set(parts):
        asked = ask(result, model, shown, params)
        if "wiping" in parts:
            wiping.measure(result, model, asked, layers, left["wiping"])
        if "spans" in parts:
            spans.measure(result, model, params, asked, shown, layers, left["spans"])
        if "patching" in parts:
            patching.measure(result, model, params, asked, shown, layers, left["patching"])
    progress(1.0, "Done")
    return result
