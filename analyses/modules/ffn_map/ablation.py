"""The ablation matrix: what each capability loses when the neurons of another, or of itself, are
held at their means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from analyses.measures.capability_scores import CapabilityScores, answer_scores
from analyses.measures.statistics import difference, mean_interval
from analyses.modules.ffn_map.choosing import matched, top_sets
from hooks.neurons import hold_neurons

if TYPE_CHECKING:
    from analyses.measures.capability_prompts import CapabilityPrompt
    from analyses.modules.ffn_map.choosing import NeuronTable
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

TOP, CONTROL = "top", "matched"
"""Whose neurons were held: those that tell a capability, or others matched with them."""


@dataclass(frozen=True)
class Ablation:
    """One set of neurons held at their means.

    Attributes:
        k: how many were wanted; neurons: rows of the table that were held.
        of: the capability whose set it is, or whose set it is matched with.
        kind: `TOP` or `CONTROL`.
        scores: of the held-out prompts.
    """

    k: int
    of: str
    kind: str
    neurons: np.ndarray
    scores: CapabilityScores


def ablate_sets(
    model: InstrumentedModel,
    neurons: NeuronTable,
    prompts: Sequence[CapabilityPrompt],
    ks: Sequence[int],
    controls: int,
    seed: int,
    progress: Progress,
) -> list[Ablation]:
    """Every capability's top sets of each size and their matched controls, on all held-out
    prompts.
    """
    planned = [
        (k, name, kind, rows)
        for k in ks
        for kind, named in _sets(neurons, k, controls, seed)
        for name, rows in named.items()
        if len(rows)
    ]
    found = []
    for n, (k, name, kind, rows) in enumerate(planned):
        words = f"Ablating {len(rows)} neurons: {kind}, {name} ({n + 1} of {len(planned)})"
        part = progress.subprogress(n / len(planned), (n + 1) / len(planned))
        held = {
            layer: (torch.from_numpy(numbers), torch.from_numpy(values).float())
            for layer, (numbers, values) in neurons.held(rows).items()
        }
        with hold_neurons(model, held):
            scores = answer_scores(model, prompts, part, words)
        found.append(Ablation(k, name, kind, rows, scores))
    return found


def _sets(
    neurons: NeuronTable, k: int, controls: int, seed: int
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    top = top_sets(neurons, k)
    yield TOP, top
    for n in range(controls):
        yield CONTROL, {of: rows[rows >= 0] for of, rows in matched(neurons, top, seed + n).items()}


def matrix_rows(
    ablations: Sequence[Ablation], base: CapabilityScores, owner: np.ndarray
) -> Iterator[dict[str, Any]]:
    """For each size, kind, set and capability: the mean rise of the loss with its interval, and the
    share of right answers. Controls of one set are taken together.

    Args:
        base: without a change.
        owner: the capability of each prompt.
    """
    for (k, of, kind), rises, right in _together(ablations, base):
        for name in dict.fromkeys(owner):
            own = owner == name
            rise, (low, high) = mean_interval(rises[own])
            yield {
                "k": k,
                "of": of,
                "kind": kind,
                "capability": name,
                "rise": rise,
                "low": low,
                "high": high,
                "right_before": float(base.right[own].mean()),
                "right": float(right[own].mean()),
                "n": int(own.sum()),
            }


def selectivity_rows(
    ablations: Sequence[Ablation], base: CapabilityScores, owner: np.ndarray
) -> Iterator[dict[str, Any]]:
    """For each size and capability: what its own set costs it, beside what that costs the others
    (column), what the others' sets cost it (row), and what matched neurons cost it and the others
    (beyond: by how much more than they its own set hits it and not the others).
    """
    rises = {key: rise for key, rise, _ in _together(ablations, base)}
    for (k, name, kind), rise in rises.items():
        if kind != TOP:
            continue
        own = owner == name
        others = [r[own] for (size, of, what), r in rises.items() if (size, what) == (k, TOP)
                  and of != name]  # fmt: skip
        matched_rise = rises.get((k, name, CONTROL), np.full(len(rise), np.nan))
        more = rise - matched_rise
        yield {
            "k": k,
            "capability": name,
            "neurons": next(len(a.neurons) for a in ablations if (a.k, a.of) == (k, name)),
            **_named("own", mean_interval(rise[own])),
            "others": float(rise[~own].mean()),
            "control": float(matched_rise[own].mean()),
            "control_others": float(matched_rise[~own].mean()),
            **_named("column", difference(rise[own], rise[~own])),
            **_named("row", _paired(rise[own], others)),
            **_named("beyond", difference(more[own], more[~own])),
            "n": int(own.sum()),
        }


Spread = tuple[float, tuple[float, float]]


def _named(name: str, measured: Spread) -> dict[str, float]:
    value, (low, high) = measured
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _paired(own: np.ndarray, others: Sequence[np.ndarray]) -> Spread:
    """Own less the mean of the others, prompt by prompt, with its interval."""
    if not others:
        return np.nan, (np.nan, np.nan)
    return mean_interval(own - np.mean(others, axis=0))


def _together(
    ablations: Sequence[Ablation], base: CapabilityScores
) -> Iterator[tuple[tuple[int, str, str], np.ndarray, np.ndarray]]:
    """(size, capability, kind), and by prompt the rise of the loss and the share of right answers;
    means over several controls.
    """
    groups: dict[tuple[int, str, str], list[CapabilityScores]] = {}
    for each in ablations:
        groups.setdefault((each.k, each.of, each.kind), []).append(each.scores)
    for key, scores in groups.items():
        yield (
            key,
            np.mean([s.loss - base.loss for s in scores], axis=0),
            np.mean([s.right for s in scores], axis=0),
        )


def answer_rows(
    model: InstrumentedModel, ablations: Sequence[Ablation], base: CapabilityScores
) -> Iterator[dict[str, Any]]:
    """What the model says of each held-out prompt without a change, and under each set of neurons
    that tell a capability.
    """
    given: Mapping[tuple[int, str], CapabilityScores] = {
        (a.k, a.of): a.scores for a in ablations if a.kind == TOP
    }
    for (k, of), scores in {(0, ""): base, **given}.items():
        for number, ids in enumerate(scores.likeliest):
            yield {
                "prompt": number,
                "k": k,
                "of": of,
                "says": model.text.decode(ids),
                "loss": float(scores.loss[number]),
                "right": bool(scores.right[number]),
            }
