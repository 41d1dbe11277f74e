"""How far the chosen heads hang on the facts that chose them: the choosing half drawn again,
from what was measured already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.context.knowledge_conflict.headroom import WINS
from workbench.result import Finding, Result
from workbench.selection import head_name
from workbench.wording import percent

if TYPE_CHECKING:
    from analyses.context.knowledge_conflict.answer_rates import Rates
    from analyses.context.knowledge_conflict.constants import Head, RankBy
    from analyses.context.knowledge_conflict.rank_heads import HeadEffects

DRAWS = 1000


def reselection_rate(each: np.ndarray, k: int, seed: int, draws: int = DRAWS) -> np.ndarray:
    """How often each head is among the first k if the facts are drawn again, (layer, head), between
    0 and 1.

    Args:
        each: scores per fact and head, (fact, layer, head), NaN where not measured. Only heads with
            a mean above zero rank.
    """
    n, shape = len(each), each.shape[1:]
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws) / n
    measured = np.flatnonzero(~np.isnan(each).any(0).ravel())
    means = weights @ each.reshape(n, -1)[:, measured]
    first = np.argsort(-means, axis=1, kind="stable")[:, :k]
    selected = np.take_along_axis(means, first, 1) > 0
    counts = np.bincount(measured[first[selected]], minlength=int(np.prod(shape)))
    return counts.reshape(shape) / draws


def same_number_rate(
    curve: Mapping[int, Rates], group: str, seed: int, draws: int = DRAWS
) -> dict[int, float]:
    """How often each number of heads hands over most answers if the facts are drawn again; of
    equals the smallest.
    """
    sizes = sorted(curve)
    won = np.array([[outcome == WINS[group] for outcome in curve[k].outcomes] for k in sizes], int)
    n = won.shape[1]
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)
    best = (weights @ won.T).argmax(1)
    return {k: float((best == i).mean()) for i, k in enumerate(sizes)}


def add_stability(
    result: Result,
    found: HeadEffects,
    rank_by: RankBy,
    groups: Mapping[str, Sequence[Head]],
    curves: Mapping[str, Mapping[int, Rates]],
    seed: int,
) -> None:
    """The table `stability`, and a finding for each group."""
    import pandas as pd

    scores = dict(zip(("memory", "context"), found.each(rank_by), strict=True))
    rows = []
    for group, heads in groups.items():
        shares = reselection_rate(scores[group], len(heads), seed)
        mine: list[dict[str, Any]] = [
            {
                "group": group,
                "layer": int(layer),
                "head": int(head),
                "label": head_name(int(layer), int(head)),
                "selected": (int(layer), int(head)) in set(heads),
                "selection_frequency": float(shares[layer, head]),
            }
            for layer, head in zip(*np.nonzero(shares), strict=True)
        ]
        mine.sort(key=lambda row: (not row["selected"], -row["selection_frequency"]))
        rows += mine
        numbers = same_number_rate(curves[group], group, seed)
        selected_rows = [row for row in mine if row["selected"]]
        others = [row for row in mine if not row["selected"]][:3]
        instead = f" Other heads most often selected: {_listed(others)}." if others else ""
        by_share = sorted(numbers, key=lambda k: -numbers[k])[:3]
        result.add(
            Finding(
                f"stability_{group}",
                {
                    "selection_frequency": float(np.mean([shares[head] for head in heads])),
                    "same_size_frequency": numbers[len(heads)],
                    "n": len(scores[group]),
                },
                f"In {DRAWS:,} bootstrap draws of the {len(scores[group])} facts of the select half"
                f" (effects as measured, the same candidates), how often each {group} head is"
                f" selected: {_listed(selected_rows)}.{instead} Number of heads selected:"
                f" {', '.join(f'{k} in {percent(numbers[k])}' for k in by_share if numbers[k])} of"
                " the draws.",
                unit="share of draws",
            )
        )
    result.tables["stability"] = pd.DataFrame(
        rows, columns=["group", "layer", "head", "label", "selected", "selection_frequency"]
    )


def _listed(rows: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{row['label']} {percent(row['selection_frequency'])}" for row in rows)
