"""Probes over layers and lags, as tables and a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.statistics import rates_apart, wilson
from analyses.measures.untrained_twin import untrained
from analyses.state.recurrent_state import pair_rows, probes
from analyses.state.recurrent_state.constants import CONTROLS
from analyses.state.recurrent_state.kernels import offset_of_writes, read
from workbench.result import Finding
from workbench.wording import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from analyses.measures.pair_questions import Vocabulary
    from analyses.state.recurrent_state.params import Params
    from analyses.state.recurrent_state.shown import Shown
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

SEEDS = 3
"""Splits of the rows into those that train a probe and those that test it."""
_ASKED = 32
"""Rows with a question, which say where a pair is written."""


def measure(
    result: Result,
    model: InstrumentedModel,
    params: Params,
    shown: Shown,
    layers: Sequence[int],
    progress: Progress,
) -> None:
    """Probe every layer for values some pairs back, with controls."""
    import pandas as pd

    vocabulary = shown.vocabulary
    assert vocabulary is not None
    offsets = _offsets(model, params, vocabulary, layers)
    rows = probes.draw(vocabulary, params.sequences, params.seed, params.lags)
    trained = probes.held(
        model, rows, offsets, params.lags, progress.subprogress(0.0, 0.35), "States"
    )
    twin = untrained(model, params.seed)
    raw = probes.held(
        twin, rows, offsets, params.lags, progress.subprogress(0.35, 0.7), "Untrained twin"
    )
    table: list[dict[str, Any]] = []
    for n, layer in enumerate(layers):
        for m, lag in enumerate(params.lags):
            progress(0.7 + 0.3 * (n + m / len(params.lags)) / len(layers), f"Probes, layer {layer}")
            table += _lanes(layer, lag, trained[layer], raw[layer], rows, params.seed)
    frame = pd.DataFrame(table)
    result.tables["probes"] = frame
    _add_finding(result, frame, rows.n_values)


def _offsets(
    model: InstrumentedModel, params: Params, vocabulary: Vocabulary, layers: Sequence[int]
) -> dict[int, int]:
    """By layer, how many tokens behind its key a pair is written, as questions read it."""
    rows = pair_rows.draw(vocabulary, probes.PAIRS, _ASKED, params.seed * 10 + 5, 1)
    seen = [read(model, part, layers) for part in rows.parts()]
    return {layer: offset_of_writes(seen, layer) for layer in layers}


def _lanes(
    layer: int,
    lag: int,
    held: probes.Held,
    raw: probes.Held,
    rows: probes.Sequences,
    seed: int,
) -> list[dict[str, Any]]:
    """What a probe finds in each thing that it may read, for one layer and lag."""
    label = rows.label[:, -1 - lag]
    inputs = {
        "state": (held.state, label),
        "own key": (held.by_key[lag], label),
        "convolution": (held.taps, label),
        "last value": (np.eye(rows.n_values)[rows.label[:, -1]], label),
        "shuffled": (held.state, np.random.default_rng(seed).permutation(label)),
        "untrained": (raw.by_key[lag], label),
    }
    found = []
    for lane, (x, y) in inputs.items():
        if x is None:
            continue
        each = [probes.accuracy(x, y, rows.n_values, seed + n) for n in range(SEEDS)]
        right, n = sum(r for r, _ in each), sum(n for _, n in each)
        tested = each[0][1]  # the splits overlap: no more rows than one of them tests
        low, high = wilson(round(right / n * tested), tested)
        found.append(
            {
                "layer": layer,
                "lag": lag,
                "lane": lane,
                "accuracy": right / n,
                "low": low,
                "high": high,
                "n": tested,
                "chance": 1 / rows.n_values,
            }
        )
    return found


def _add_finding(result: Result, frame: pd.DataFrame, n_values: int) -> None:
    """Of the layer where the pairs' own keys find most."""
    by_key = frame[frame["lane"] == "own key"]
    best = int(by_key.groupby("layer")["accuracy"].mean().idxmax())
    at = frame[frame["layer"] == best].set_index(["lag", "lane"])
    parts, values, intervals = [], {}, {}
    for lag in sorted(set(frame["lag"])):
        key = at.loc[(lag, "own key")]
        controls = at.loc[lag].loc[lambda rows: rows.index.isin(CONTROLS)]
        top = controls.sort_values("accuracy").iloc[-1]
        low, high = rates_apart(key["accuracy"], key["n"], top["accuracy"], top["n"])
        values[f"lag_{lag}"] = float(key["accuracy"] - top["accuracy"])
        intervals[f"lag_{lag}"] = (low, high)
        parts.append(f"{_back(lag)} {percent(key['accuracy'])} ({percent(top['accuracy'])})")
    says = (
        f"What layer {best}'s state gives under a pair's own key tells a linear probe"
        f" {'; '.join(parts)}; in brackets what the best control finds: the convolution, the last"
        f" token, shuffled rows, or the same model untrained. A guess is right in"
        f" {percent(1 / n_values)}. A probe says what is there, not what is used."
    )
    unit = "share above the best control"
    result.add(Finding("decoded", values, says, unit=unit, interval=intervals))


def _back(lag: int) -> str:
    return "the last value" if lag == 0 else f"the value {lag} before it"
