"""Kernels and gates of a run: curves by lag, gates by token, and what they say together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.untrained_twin import untrained
from analyses.state.recurrent_state import delayed
from analyses.state.recurrent_state.kernel_curves import LayerCurves, curves_of
from workbench.result import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import xarray as xr

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

SHOWN = 48
"""Channels of a layer that are drawn, evenly from the shortest to the longest."""
GATED_TOKENS = 160
"""Gates are kept of so many tokens."""
HALF, TENTH = 0.5, 0.1


def measure(
    result: Result,
    model: InstrumentedModel,
    ids: Sequence[int],
    layers: Sequence[int],
    seed: int,
    progress: Progress,
) -> None:
    """Read the text once for all curves and gates; models of delayed recall also their own rows."""
    import pandas as pd

    progress(0.0, "Kernels and gates")
    curves = curves_of(model, ids, layers)
    rows = [row for layer, one in curves.items() for row in _channels(layer, one)]
    table = result.tables["channels"] = pd.DataFrame(rows)
    _add_curves(result, curves)
    gates = {layer: one for layer, one in curves.items() if one.gates}
    if gates:
        result.tables["gates"] = pd.DataFrame(_gates(gates))
        result.arrays["gates"] = _gate_array(gates)
    fixed = table[table["kind"] == "kernel"]
    if len(fixed):
        twin = curves_of(untrained(model, seed), ids, layers)
        _add_kernels(result, fixed, [one.reach(TENTH) for one in twin.values() if one.fixed])
    if delayed.is_delayed(model):
        delayed.measure(result, model, curves, seed, progress.subprogress(0.3, 1.0))


def _channels(layer: int, one: LayerCurves) -> list[dict[str, Any]]:
    half, tenth = one.reach(HALF), one.reach(TENTH)
    return [
        {
            "layer": layer,
            "channel": n,
            "kind": "kernel" if one.fixed else "decay",
            "half": float(half[n]),
            "reach": float(tenth[n]),
            "next": float(one.curves[n, min(1, one.curves.shape[1] - 1)] / one.curves[n, 0])
            if one.curves[n, 0] else np.nan,
        }
        for n in range(len(one.curves))
    ]  # fmt: skip


def _order(one: LayerCurves) -> np.ndarray:
    """Channels that are drawn, the shortest memory first."""
    reach = np.nan_to_num(one.reach(HALF), nan=np.inf)
    tie = np.abs(one.curves).sum(1) / np.maximum(np.abs(one.curves[:, 0]), 1e-30)
    order = np.lexsort((tie, reach))
    picked = np.unique(np.linspace(0, len(order) - 1, min(SHOWN, len(order))).round().astype(int))
    found: np.ndarray = order[picked]
    return found


def lags_shown(most: int) -> list[int]:
    """0, 1, 2, 3, 4, 6, 8, …: all short lags, and about two for each doubling."""
    found = {0, *(round(2 ** (n / 2)) for n in range(25))}
    return sorted(lag for lag in found if lag < most)


def _add_curves(result: Result, curves: Mapping[int, LayerCurves]) -> None:
    """Kernels as shares of their largest value; NaN, and -1 for its number, where a layer has fewer
    channels.
    """
    import xarray as xr

    lags = lags_shown(max(one.curves.shape[1] for one in curves.values()))
    orders = {layer: _order(one) for layer, one in curves.items()}
    width = max(map(len, orders.values()))
    values = np.full((len(curves), width, len(lags)), np.nan, np.float32)
    channel = np.full((len(curves), width), -1)
    for place, (layer, one) in enumerate(curves.items()):
        own = [lag for lag in lags if lag < one.curves.shape[1]]
        picked = one.curves[orders[layer]]
        if one.fixed:
            picked = picked / np.maximum(np.abs(picked).max(1, keepdims=True), 1e-30)
        values[place, : len(picked), : len(own)] = picked[:, own]
        channel[place, : len(picked)] = orders[layer]
    of = {"layer": list(curves)}
    result.arrays["curves"] = xr.DataArray(
        values, dims=("layer", "place", "lag"), coords={**of, "lag": lags}
    )
    result.arrays["curve_channels"] = xr.DataArray(channel, dims=("layer", "place"), coords=of)


def _gates(curves: Mapping[int, LayerCurves]) -> list[dict[str, Any]]:
    return [
        {
            "layer": layer,
            "gate": name,
            "mean": float(values.mean()),
            "closed": float((values < 0.1).mean()),
            "open": float((values > 0.9).mean()),
            "varies": float(values.std(1).mean()),
        }
        for layer, one in curves.items()
        for name, values in one.gates.items()
    ]


def _gate_array(curves: Mapping[int, LayerCurves]) -> xr.DataArray:
    """(gate, layer, place, pos), of the channels of `_order`; NaN where there are fewer."""
    import xarray as xr

    names = list(dict.fromkeys(name for one in curves.values() for name in one.gates))
    orders = {layer: _order(one) for layer, one in curves.items()}
    n = min(GATED_TOKENS, *(next(iter(c.gates.values())).shape[1] for c in curves.values()))
    width = max(map(len, orders.values()))
    values = np.full((len(names), len(curves), width, n), np.nan, np.float32)
    for place, (layer, one) in enumerate(curves.items()):
        for name, gate in one.gates.items():
            # Where a head has one write strength for all its channels, they show the same.
            of = orders[layer] * len(gate) // len(one.curves)
            values[names.index(name), place, : len(of)] = gate[of, :n]
    return xr.DataArray(
        values,
        dims=("gate", "layer", "place", "pos"),
        coords={"gate": names, "layer": list(curves)},
    )


def _add_kernels(result: Result, table: Any, twin: Sequence[np.ndarray]) -> None:
    reach = table["reach"].to_numpy()
    before = np.concatenate(twin)
    low, high = (float(x) for x in np.nanquantile(reach, [0.025, 0.975]))
    says = (
        f"Half of the {len(reach)} kernels have nine tenths of their weight within"
        f" {np.nanmedian(reach):.0f} tokens, 95 % of them within {low:.0f} to {high:.0f}; before"
        f" training it was {np.nanmedian(before):.0f}. They are the same whatever is read."
    )
    values = {"reach": float(np.nanmedian(reach)), "untrained": float(np.nanmedian(before))}
    result.add(Finding("kernels", values, says, unit="tokens", interval={"reach": (low, high)}))
