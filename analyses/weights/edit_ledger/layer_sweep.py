"""The same facts edited in several layers: which layer to edit is measured, never taken from
tracing (Hase et al. 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analyses.measures.statistics import share_interval
from analyses.weights.edit_ledger import constants as c
from analyses.weights.edit_ledger.asking import ask
from analyses.weights.edit_ledger.cases import EditCase
from analyses.weights.edit_ledger.methods import Workshop, make
from analyses.weights.edit_ledger.rates import SCORED, harmonic, hits
from hooks.editing.down_projections import editable_layers

if TYPE_CHECKING:
    from workbench.progress import Progress
    from workbench.result import Result


def layers_tried(shop: Workshop, step: int) -> list[int]:
    """Every so many of the layers that can be edited, the one that is edited anyway among them."""
    every = editable_layers(shop.model)
    return sorted({*every[::step], shop.layer})


def sweep_layers(
    result: Result, shop: Workshop, cases: Sequence[EditCase], step: int, progress: Progress
) -> None:
    """Table `layers`: r-ROME in each layer, with rates over facts; half of the facts choose the
    best layer, the others say what it is worth.
    """
    import pandas as pd

    layers = layers_tried(shop, step)
    shop.read_keys(layers, progress.subprogress(0, 0.2))
    progress = progress.subprogress(0.2, 1.0)
    rows: list[dict[str, Any]] = []
    for n, layer in enumerate(layers):
        for i, case in enumerate(cases):
            done = (n + i / len(cases)) / len(layers)
            inner = progress.subprogress(done, done + 1 / len(cases) / len(layers))
            inner(0.0, f"Layer {layer}: {case.subject}")
            change = make(shop, "r-rome", [case], inner, layer)
            kinds = (c.PROMPT, c.PARAPHRASE, c.NEIGHBOUR)
            questions = [q for q in case.questions if q.kind in kinds]
            with change.on():
                replies = ask(shop.model, questions, change.before)
            rows += [
                {
                    "layer": layer, "fact": i, "kind": q.kind, "knew": True,
                    "gives_new": bool(replies.gives_new[k]),
                    "gives_old": bool(replies.gives_old[k]),
                    "logp_new": float(replies.new[k]), "logp_old": float(replies.old[k]),
                }
                for k, q in enumerate(questions)
            ]  # fmt: skip
    answers = pd.DataFrame(rows)
    halves = {"choosing": answers["fact"] % 2 == 0, "held out": answers["fact"] % 2 == 1}
    table = [
        _row(answers[mask & (answers["layer"] == layer)], layer, half)
        for half, mask in halves.items()
        for layer in layers
        if (mask & (answers["layer"] == layer)).any()
    ]
    result.tables["layers"] = pd.DataFrame(table)


def _row(answers: Any, layer: int, half: str) -> dict[str, Any]:
    row: dict[str, Any] = {"facts": half, "layer": layer, "n": answers["fact"].nunique()}
    for name in (*SCORED, "accuracy", "in_other_words"):
        counted, groups = hits(answers, name)
        share, (low, high) = share_interval(counted, groups)
        row |= {name: share, f"{name}_low": low, f"{name}_high": high}
    row["score"] = harmonic([row[name] for name in SCORED if row[name] == row[name]])
    return row
