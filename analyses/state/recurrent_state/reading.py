"""What one prompt leaves in the states, layer by layer: tables and arrays of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.state.recurrent_state import ledger
from analyses.state.recurrent_state.constants import (
    MATRIX_BYTES,
    MATRIX_TOKENS,
    SPECTRA,
    TRACES,
)
from analyses.state.recurrent_state.layers import has_kernels
from hooks.capture import capture
from hooks.implicit_attention import shares_of
from hooks.sites import resolve
from hooks.state_capture import listening
from workbench.heads import head_name

if TYPE_CHECKING:
    import xarray as xr

    from analyses.state.recurrent_state.pair_rows import PairRows
    from hooks.model import InstrumentedModel
    from hooks.recurrent.kernel_inputs import KernelInputs
    from workbench.progress import Progress
    from workbench.result import Result

_MATRICES = ("shares", "retention", "damage")
_FLOAT16 = 2


def read(
    result: Result,
    model: InstrumentedModel,
    ids: Sequence[int],
    layers: Sequence[int],
    progress: Progress,
) -> None:
    """Read the prompt once and put what its states held into the result."""
    import pandas as pd
    import xarray as xr

    progress(0.0, "Reading the prompt")
    at = sorted({round(x) for x in np.linspace(0, len(ids) - 1, min(SPECTRA, len(ids)))})
    inputs = _heard(model, ids, layers) if has_kernels(model) else {}
    with_matrices = _layers_with_matrices(inputs, len(ids))
    heads = max(model.layout.blocks[layer].states["state"][0] for layer in layers)
    heads = max([heads, *(one.v.shape[2] for one in inputs.values())])
    traces = np.full((len(TRACES), len(layers), heads, len(ids)), np.nan, np.float32)
    ranks = np.full((len(layers), heads, len(at)), np.nan, np.float32)
    matrices = {
        name: np.full((len(with_matrices), heads, len(ids), len(ids)), np.nan, np.float16)
        for name in _MATRICES
    }
    rows: list[dict[str, Any]] = []
    spectra: dict[int, np.ndarray] = {}
    for place, layer in enumerate(layers):
        progress(place / len(layers), f"States of layer {layer}")
        if inputs:
            kept = ledger.of_layer(inputs[layer], at, matrices=layer in with_matrices)
        else:
            kept = _states_alone(model, ids, layer, at)
        own = len(kept.half_life)
        for n, name in enumerate(TRACES):
            traces[n, place, :own] = kept.traces[name].numpy()
        spectra[layer] = kept.spectra.numpy()
        ranks[place, :own] = ledger.effective_rank(spectra[layer])
        rows += _heads(layer, kept, ranks[place])
        if layer in with_matrices:
            m = with_matrices.index(layer)
            assert kept.retention is not None
            assert kept.damage is not None
            matrices["shares"][m, :own] = shares_of(inputs[layer]).cpu().numpy()
            matrices["retention"][m, :own] = kept.retention.numpy()
            matrices["damage"][m, :own] = kept.damage.numpy()
    result.tables["heads"] = pd.DataFrame(rows)
    number = {"layer": list(layers)}
    result.arrays["traces"] = xr.DataArray(
        traces, dims=("trace", "layer", "head", "pos"), coords={"trace": list(TRACES), **number}
    )
    result.arrays["rank"] = xr.DataArray(
        ranks, dims=("layer", "head", "pos"), coords={**number, "pos": at}
    )
    result.arrays["spectra"] = _spectra(spectra, heads, at)
    if with_matrices:
        of = {"layer": with_matrices}
        for name, of_name in zip(
            _MATRICES, (("query", "key"), *2 * [("stored", "pos")]), strict=True
        ):
            values, dims = np.nan_to_num(matrices[name]), ("layer", "head", *of_name)
            result.arrays[name] = xr.DataArray(values, dims=dims, coords=of)
        _softmax_heads(result, model, ids, layers)


def _heard(
    model: InstrumentedModel, ids: Sequence[int], layers: Sequence[int]
) -> dict[int, KernelInputs]:
    with listening(model, layers) as heard:
        model.forward(**model.batch([list(ids)]).kwargs(), use_cache=False, logits_to_keep=1)
    return {layer: heard.inputs(layer) for layer in layers}


def _states_alone(
    model: InstrumentedModel, ids: Sequence[int], layer: int, at: Sequence[int]
) -> ledger.StateLedger:
    """Of a layer whose kernel cannot be read."""
    sites = [site for site in ("state", "state_decay") if site in model.layout.blocks[layer].states]
    trace = capture(model, [list(ids)], sites=sites, layers=layer)
    values = {
        site: torch.as_tensor(trace[site].isel(prompt=0, layer=0).transpose("pos", ...).values)
        for site in sites
    }
    return ledger.of_states(values["state"], values.get("state_decay"), at)


def add_needles(result: Result, row: PairRows) -> None:
    """For pairs that are shown: how much each question reads from its own pair, and from the others
    on average, by head. A pair's tokens are those behind its key, up to the next pair's key.

    Only of a row that asks for all pairs: of others the text that is shown holds one question.
    """
    import pandas as pd

    shares = result.arrays["shares"]
    width = range(1, row.stride + 1)
    tokens = np.stack([row.written(offset).numpy() for offset in width], 1)  # (pair, token)
    asked = [n for n in range(row.n_pairs) if int(row.sequence[0, n]) == 0]
    rows = []
    for layer in shares["layer"].values:
        of_layer = shares.sel(layer=layer).values.astype("float64")
        for head, share in enumerate(of_layer):
            at = share[row.asked[0, asked].numpy()]  # (question, key)
            per_pair = at[:, tokens].sum(-1)  # (question, pair)
            own = per_pair[np.arange(len(asked)), asked]
            others = (per_pair.sum(1) - own) / max(1, row.n_pairs - 1)
            rows.append(
                {
                    "label": head_name(int(layer), head),
                    "layer": int(layer),
                    "head": head,
                    "own": float(own.mean()),
                    "others": float(others.mean()),
                    "n": len(asked),
                }
            )
    result.tables["needles"] = pd.DataFrame(rows)


def _layers_with_matrices(inputs: dict[int, KernelInputs], n: int) -> list[int]:
    """Those whose matrices are kept: all, or as many, evenly spread, as there is room for."""
    if n > MATRIX_TOKENS or not inputs:
        return []
    layers = list(inputs)
    heads = max(one.v.shape[2] for one in inputs.values())
    room = max(1, MATRIX_BYTES // (len(_MATRICES) * heads * n * n * _FLOAT16))
    every = -(-len(layers) // room)
    return layers[::-1][::every][::-1]


def _heads(layer: int, kept: ledger.StateLedger, ranks: np.ndarray) -> list[dict[str, Any]]:
    """A row per head."""
    written = kept.traces["write"].sum(1)
    lost = kept.traces["decay"].sum(1) + kept.traces["erase"].sum(1)
    return [
        {
            "label": head_name(layer, head),
            "layer": layer,
            "head": head,
            "half_life": float(kept.half_life[head]),
            "rank": float(ranks[head, -1]),
            "most_rank": kept.spectra.shape[-1],
            "norm": float(kept.traces["norm"][head, -1]),
            "written": float(written[head]),
            "lost": float(lost[head]),
            "stays": 1 - float(lost[head] / written[head]) if written[head] > 0 else np.nan,
            "key_overlap": float(kept.key_overlap[head]),
        }
        for head in range(len(kept.half_life))
    ]


def _spectra(spectra: dict[int, np.ndarray], heads: int, at: Sequence[int]) -> xr.DataArray:
    """Singular values; NaN where a layer has fewer heads or smaller states than another."""
    import xarray as xr

    width = max(one.shape[-1] for one in spectra.values())
    values = np.full((len(spectra), heads, len(at), width), np.nan, np.float32)
    for place, one in enumerate(spectra.values()):
        values[place, : one.shape[0], :, : one.shape[2]] = one
    return xr.DataArray(
        values,
        dims=("layer", "head", "pos", "rank"),
        coords={"layer": list(spectra), "pos": list(at)},
    )


def _softmax_heads(
    result: Result, model: InstrumentedModel, ids: Sequence[int], recurrent: Sequence[int]
) -> None:
    """In a hybrid, the patterns of its attention layers, on the same scale as the shares."""
    if "pattern" not in model.sites:
        return
    places = resolve(model.layout, "pattern", None, model.card.name)
    numbers = [place.layer for place in places if place.layer is not None]
    layers = [layer for layer in numbers if layer not in recurrent]
    if layers:
        trace = capture(model, [list(ids)], sites="pattern", layers=layers)
        result.arrays["patterns"] = trace["pattern"].isel(prompt=0, drop=True).astype("float16")
