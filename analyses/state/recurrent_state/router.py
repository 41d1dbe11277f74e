"""Mixtures of memories: which memory a pair is written to, whether its question goes to the same
one, and what silencing a memory takes away.

Where a router files writes and questions differently, nothing can be recalled however much is held;
where it does its work, each memory holds pairs of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.measures.statistics import wilson
from analyses.state.recurrent_state import pair_rows
from analyses.state.recurrent_state.layers import ROUTER as SITE
from hooks.capture import capture
from hooks.recurrent.changes import WipeState
from hooks.sites import resolve
from hooks.state_changes import change_state
from workbench.result import Finding
from workbench.wording import percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analyses.state.recurrent_state.params import Params
    from analyses.state.recurrent_state.shown import Shown
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

PERMUTATIONS = 200
"""Times that the questions' memories are shuffled, for the null of the mutual information."""
ASKED = 3


@dataclass(frozen=True)
class Routed:
    """What a router did in some rows.

    Attributes:
        written: the memory with most weight at a pair's value, (question,).
        asked: the memory with most weight at the question, (question,).
        load: share of all tokens that go anywhere, by memory.
    """

    written: np.ndarray
    asked: np.ndarray
    load: np.ndarray


def measure(
    result: Result, model: InstrumentedModel, params: Params, shown: Shown, progress: Progress
) -> None:
    """Follow the routes over the text that is shown, and over rows of pairs."""
    import pandas as pd
    import xarray as xr

    vocabulary = shown.vocabulary
    assert vocabulary is not None
    places = resolve(model.layout, SITE, None, model.card.name)
    layers = [place.layer for place in places if place.layer is not None]
    trace = capture(model, [shown.ids], sites=SITE, layers=layers)
    routes = trace[SITE].isel(prompt=0, drop=True).transpose("layer", "memory", "pos")
    result.arrays["routes"] = xr.DataArray(
        routes.values, dims=("layer", "memory", "pos"), coords={"layer": layers}
    )
    rows = pair_rows.draw(vocabulary, params.n_pairs, params.rows, params.seed * 10 + 7, ASKED)
    own = torch.cat([_right(model, part) for part in rows.parts()]).numpy()
    table: list[dict[str, Any]] = []
    for n, layer in enumerate(layers):
        progress(n / len(layers), f"Memories of layer {layer}")
        routed = _routes(model, rows, layer, len(vocabulary.between))
        for memory in range(len(routed.load)):
            heads = heads_of(model, layer, memory, len(routed.load))
            silenced = []
            for part in rows.parts():
                with change_state(
                    model, WipeState(), layers=layer, heads=heads, positions=[part.end]
                ):
                    silenced.append(_right(model, part))
            after = torch.cat(silenced).numpy()
            table.append(_row(layer, memory, routed, own, after))
        _add_finding(result, layer, routed, [row for row in table if row["layer"] == layer])
    result.tables["memories"] = pd.DataFrame(table)


def heads_of(model: InstrumentedModel, layer: int, memory: int, memories: int) -> list[int]:
    """The state heads of a memory: those of the first memory come first, of one that all tokens
    share last.
    """
    states = model.layout.blocks[layer].states["state"][0]
    each = states // getattr(model.layout.blocks[layer].mixer, "all_memories", memories)
    return list(range(memory * each, (memory + 1) * each))


def _right(model: InstrumentedModel, rows: pair_rows.PairRows) -> torch.Tensor:
    """Whether each question is answered with its value, (question,)."""
    answers = pair_rows.logits_at_questions(model, rows).argmax(-1)
    return (answers == rows.values)[rows.is_asked]


def _routes(model: InstrumentedModel, rows: pair_rows.PairRows, layer: int, between: int) -> Routed:
    trace = capture(model, rows.ids.tolist(), sites=SITE, layers=layer)
    weights = trace[SITE].isel(layer=0).transpose("prompt", "pos", "memory").values
    where = rows.is_asked.numpy()
    sequence, asked = rows.sequence.numpy()[where], rows.asked.numpy()[where]
    pair = np.tile(np.arange(rows.n_pairs), (rows.n_rows, 1))[where]
    value = rows.value_position(between).numpy()[pair]
    routed = weights[weights.max(-1) > 0]
    load = np.bincount(routed.argmax(-1), minlength=weights.shape[-1])
    return Routed(
        weights[sequence, value].argmax(-1),
        weights[sequence, asked].argmax(-1),
        load / max(1, load.sum()),
    )


def _row(
    layer: int, memory: int, routed: Routed, before: np.ndarray, after: np.ndarray
) -> dict[str, Any]:
    """What silencing one memory does to the pairs whose questions go to it, and to the others."""
    mine = routed.asked == memory
    row: dict[str, Any] = {"layer": layer, "memory": memory, "load": float(routed.load[memory])}
    for name, some in (("own", mine), ("other", ~mine)):
        n, hits = int(some.sum()), int(after[some].sum())
        low, high = wilson(hits, n)
        row |= {
            f"{name}_n": n,
            f"{name}_before": float(before[some].mean()) if n else np.nan,
            f"{name}_after": hits / n if n else np.nan,
            f"{name}_low": low,
            f"{name}_high": high,
        }
    return row


def mutual_information(a: np.ndarray, b: np.ndarray) -> float:
    """Normalised mutual information of two labellings (arithmetic mean of their entropies); 0 where
    one of them does not vary.
    """
    joint = np.zeros((int(a.max()) + 1, int(b.max()) + 1))
    np.add.at(joint, (a, b), 1 / len(a))
    of_a, of_b = joint.sum(1), joint.sum(0)

    def entropy(p: np.ndarray) -> float:
        return float(-(p[p > 0] * np.log(p[p > 0])).sum())

    mean = (entropy(of_a) + entropy(of_b)) / 2
    shared = entropy(of_a) + entropy(of_b) - entropy(joint.ravel())
    return shared / mean if mean > 0 else 0.0


def _add_finding(
    result: Result, layer: int, routed: Routed, rows: Sequence[dict[str, Any]]
) -> None:
    same = float((routed.written == routed.asked).mean())
    both = (routed.written, routed.asked)
    shares = [np.bincount(one, minlength=len(rows)) / len(one) for one in both]
    chance = float(shares[0] @ shares[1])
    rng = np.random.default_rng(0)
    nmi = mutual_information(routed.written, routed.asked)
    null = [
        mutual_information(routed.written, rng.permutation(routed.asked))
        for _ in range(PERMUTATIONS)
    ]
    low, high = wilson(round(same * len(routed.asked)), len(routed.asked))
    used = [row for row in rows if row["own_n"]]
    own = _mean(used, "own_after", "own_n")
    others, before = _mean(used, "other_after", "other_n"), _mean(used, "other_before", "other_n")
    most, was = max(row["own_after"] for row in used), _mean(used, "own_before", "own_n")
    shuffled = float(np.quantile(null, 0.975))
    says = (
        f"In layer {layer} {percent(same)} of the questions ({percent(low)} to {percent(high)}) go"
        f" to the memory that their pair was written to; by chance it would be {percent(chance)}"
        f" (normalised mutual information {nmi:.2f}, in 97.5 % of {PERMUTATIONS} shuffles below"
        f" {shuffled:.2f}). With one memory silenced {percent(own)} of its own pairs are still"
        f" recalled (at most {percent(most)}), {percent(was)} before, and {percent(others)} of the"
        f" others, {percent(before)} before."
    )
    values = {"same": same, "chance": chance, "own": own, "others": others, "before": before}
    result.add(
        Finding(f"router_{layer}", values, says, unit="share of questions",
                interval={"same": (low, high)})
    )  # fmt: skip


def _mean(rows: Sequence[dict[str, Any]], name: str, n: str) -> float:
    return float(np.average([row[name] for row in rows], weights=[row[n] for row in rows]))
