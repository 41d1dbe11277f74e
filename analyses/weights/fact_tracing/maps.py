"""Trace maps: how much of a fact comes back when one token's state, MLPs or attention are restored.

IE(layer, token) = P*(restored) − P*(corrupted), mean over draws of noise; TE = P − P*; normalised:
mean IE over mean TE (averaged apart, so that no small denominator blows up).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.statistics import mean_interval
from analyses.weights.fact_tracing.constants import (
    ATTENTION,
    CLASSES,
    KINDS,
    LEAST,
    MLP,
    PERMUTED,
    STATE,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from analyses.weights.fact_tracing.traced_facts import TracedFact
    from hooks.model import InstrumentedModel
    from hooks.sweeps.restoration import CorruptedPrompt, Restored
    from workbench.progress import Progress


@dataclass
class Maps:
    """Maps of facts under one corruption.

    Attributes:
        facts: their numbers, (fact,).
        clean: probability of the answer, (fact,).
        corrupted: the same with the subject corrupted, mean over draws.
        layers: by kind, the layers that windows stand around.
        effects: by kind and fact, IE, (layer, pos from the subject on).
    """

    facts: list[int]
    clean: np.ndarray
    corrupted: np.ndarray
    layers: dict[str, list[int]]
    effects: dict[str, list[np.ndarray]]

    @property
    def total(self) -> np.ndarray:
        """TE, (fact,)."""
        lost: np.ndarray = self.clean - self.corrupted
        return lost


def restored_parts(
    model: InstrumentedModel, kinds: Iterable[str], window: int, step: int
) -> dict[str, Restored]:
    """What each kind of map restores."""
    from hooks.sweeps.restoration import Restored

    window = window or max(1, round(model.n_layers / 5))
    step = step or (2 if model.n_layers > 16 else 1)
    every = tuple(range(0, model.n_layers, step))
    known = {
        STATE: Restored(),
        MLP: Restored(("mlp_out",), window, every),
        ATTENTION: Restored(("attn_out", "mixer_out"), window, every),
    }
    return {kind: known[kind] for kind in KINDS if kind in kinds}


def trace(
    model: InstrumentedModel,
    prompts: Mapping[int, Sequence[CorruptedPrompt]],
    parts: Mapping[str, Restored],
    progress: Progress,
) -> Maps:
    """Maps of facts.

    Args:
        prompts: by the fact's number, its corruptions.
        parts: what is restored, by name.
    """
    from hooks.sweeps.restoration import restore

    flat = [prompt for each in prompts.values() for prompt in each]
    found = restore(model, flat, list(parts.values()), progress)
    starts = np.cumsum([0, *(len(each) for each in prompts.values())])
    spans = [slice(a, b) for a, b in itertools.pairwise(starts)]
    corrupted = found.corrupted.numpy()
    return Maps(
        list(prompts),
        np.array([found.clean.numpy()[span].mean() for span in spans]),
        np.array([corrupted[span].mean() for span in spans]),
        {kind: part.centres(model) for kind, part in parts.items()},
        {
            kind: [
                np.mean([m.numpy() - c for m, c in zip(each[s], corrupted[s], strict=True)], axis=0)
                for s in spans
            ]
            for kind, each in zip(parts, found.restored, strict=True)
        },
    )


def as_array(maps: Maps, facts: Sequence[TracedFact], n_layers: int) -> xr.DataArray:
    """IE on one grid, (kind, fact, layer, pos); NaN where nothing was restored."""
    import xarray as xr

    longest = max(len(fact.ids) for fact in facts)
    values = np.full((len(maps.effects), len(facts), n_layers, longest), np.nan, dtype="float32")
    for k, kind in enumerate(maps.effects):
        for n, effect in zip(maps.facts, maps.effects[kind], strict=True):
            first = facts[n].first
            values[k, n, maps.layers[kind], first : first + effect.shape[1]] = effect
    return xr.DataArray(
        values,
        dims=("kind", "fact", "layer", "pos"),
        coords={"kind": list(maps.effects), "layer": range(n_layers)},
    )


def by_class(maps: Maps, facts: Sequence[TracedFact], kind: str) -> dict[str, np.ndarray]:
    """IE by class of token, (fact, layer), NaN for facts without such a token; and under
    `PERMUTED` the mean over a fact's tokens: what shuffled labels would give.
    """
    rows = {name: [] for name in (*CLASSES, PERMUTED)}  # type: dict[str, list[np.ndarray]]
    for n, effect in zip(maps.facts, maps.effects[kind], strict=True):
        fact = facts[n]
        names = np.array([fact.token_class(fact.first + p) for p in range(effect.shape[1])])
        for name in CLASSES:
            own = effect[:, names == name]
            rows[name].append(own.mean(1) if own.size else np.full(len(effect), np.nan))
        rows[PERMUTED].append(effect.mean(1))
    return {name: np.array(each) for name, each in rows.items()}


def class_table(maps: Maps, facts: Sequence[TracedFact], corruption: str) -> pd.DataFrame:
    """A row for each kind, class and layer: mean IE with its interval over facts."""
    import pandas as pd

    rows = []
    for kind in maps.effects:
        for name, values in by_class(maps, facts, kind).items():
            has = ~np.isnan(values).all(1)
            if not has.any():
                continue
            total = float(maps.total[has].mean())
            for column, layer in enumerate(maps.layers[kind]):
                mean, (low, high) = mean_interval(values[has, column])
                if has.sum() < LEAST:
                    low = high = np.nan
                rows.append(
                    (corruption, kind, name, layer, mean, low, high,
                     mean / total if total > 0 else np.nan, int(has.sum()))
                )  # fmt: skip
    columns = ["corruption", "kind", "tokens", "layer", "effect", "low", "high", "share", "n"]
    return pd.DataFrame(rows, columns=columns)
