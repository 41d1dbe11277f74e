"""The error law of an outer-product memory: measured over dimensions, fitted, beside the theory."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.statistics import mean_interval
from analyses.state.recall_capacity import outer_product as outer
from analyses.state.recall_capacity.constants import RULES
from workbench.result import Finding, Result

if TYPE_CHECKING:
    from analyses.state.recall_capacity.params import Params
    from workbench.progress import Progress

FITTED = 4
"""Largest dimensions that the slope at the top is fitted to."""
NEAR = 0.15
"""A slope this near to its limit is called near."""
TOP, ONE_STEP = "the largest dimensions", "one step"
"""What a slope is fitted to."""
_RESAMPLES = 1000


def measure(result: Result, params: Params, progress: Progress) -> None:
    """Tables `errors` and `slopes`, and their findings."""
    import pandas as pd

    errors: dict[str, np.ndarray] = {
        rule: np.zeros((params.memories, len(params.dimensions))) for rule in RULES
    }
    for number in range(params.memories):
        progress(number / params.memories, f"Memory {number + 1} of {params.memories}")
        for column, d in enumerate(params.dimensions):
            made = outer.build(list(RULES), d, params.items, params.exponent, params.seed + number)
            for rule, memory in made.items():
                errors[rule][number, column] = memory.error
    expected = {
        rule: np.array(
            [
                outer.expected_error(rule, d, params.items, params.exponent)
                for d in params.dimensions
            ]
        )
        for rule in RULES
    }
    rows = []
    for rule, values in errors.items():
        for column, d in enumerate(params.dimensions):
            mean, (low, high) = mean_interval(values[:, column])
            rows.append(
                {
                    "rule": RULES[rule],
                    "dimension": d,
                    "error": mean,
                    "low": max(low, 1e-9),
                    "high": high,
                    "expected": float(expected[rule][column]),
                    "memories": params.memories,
                }
            )
    result.tables["errors"] = pd.DataFrame(rows)
    slopes = [row for rule in RULES for row in _slopes(rule, params, errors[rule], expected[rule])]
    result.tables["slopes"] = pd.DataFrame(slopes)
    _add_findings(result, params)


def _slopes(
    rule: str, params: Params, errors: np.ndarray, expected: np.ndarray
) -> list[dict[str, Any]]:
    """Slopes of one rule: over the largest dimensions, and from each dimension to the next."""
    dimensions = params.dimensions
    spans = [(max(0, len(dimensions) - FITTED), len(dimensions) - 1)]
    spans += list(pairwise(range(len(dimensions))))
    rng = np.random.default_rng(params.seed)
    draws = rng.integers(0, len(errors), (_RESAMPLES, len(errors)))
    limit, rows = outer.limit(rule, params.exponent), []
    for number, (first, last) in enumerate(spans):
        part = slice(first, last + 1)
        value = outer.slope(dimensions[part], errors.mean(0)[part])
        resampled = [outer.slope(dimensions[part], errors[draw].mean(0)[part]) for draw in draws]
        low, high = np.nanpercentile(resampled, [2.5, 97.5])
        rows.append(
            {
                "rule": RULES[rule],
                "span": TOP if number == 0 else ONE_STEP,
                "from_dimension": dimensions[first],
                "to_dimension": dimensions[last],
                "slope": value,
                "low": float(low),
                "high": float(high),
                "expected": outer.slope(dimensions[part], expected[part]),
                "limit": limit,
                "distance": value - limit,
            }
        )
    return rows


def _add_findings(result: Result, params: Params) -> None:
    table = result.tables["slopes"]
    top = table[table["span"] != ONE_STEP].set_index("rule")
    top = top[top["limit"].notna()]
    steps = table[table["span"] == ONE_STEP]
    names = {words: rule for rule, words in RULES.items()}
    words, trends, values = [], [], dict[str, float]()
    for name, row in top.iterrows():
        words.append(f"d^{_signed(row['slope'])} ({name}; limit {_signed(row['limit'])})")
        values |= {
            names[str(name)]: float(row["slope"]),
            f"{names[str(name)]}_limit": float(row["limit"]),
        }
        apart = steps.loc[steps["rule"] == name, "distance"].abs().to_numpy()
        half = len(apart) // 2
        if half:
            trends.append(f"{name} {apart[:half].mean():.2f} and {apart[half:].mean():.2f}")
    far = top[top["distance"].abs() > NEAR]
    furthest = float(top["distance"].abs().max())
    why = "".join(
        f" At these sizes the theory itself gives {_signed(row['expected'])} where it stores"
        f" {name}: what is left is the finite number of items and dimensions."
        for name, row in far.iterrows()
    )
    first, last = int(top["from_dimension"].iloc[0]), max(params.dimensions)
    result.add(
        Finding(
            "error_law",
            values,
            f"From d = {first:,} to {last:,} the error of an outer-product memory falls as"
            f" {', '.join(words)}: {furthest:.2f} from the limit at most.{why}",
            unit="exponent",
            interval={
                names[str(name)]: (float(row["low"]), float(row["high"]))
                for name, row in top.iterrows()
            },
        )
    )
    if trends:
        result.add(
            Finding(
                "law_trend",
                furthest,
                "From one dimension to the next the slope is away from its limit, mean of the"
                f" smaller and of the larger steps: {'; '.join(trends)}.",
                unit="exponent",
            )
        )
    largest = result.tables["errors"]
    largest = largest[largest["dimension"] == max(params.dimensions)].set_index("rule")["error"]
    result.add(
        Finding(
            "equal_storage",
            {"equal": float(largest[RULES["equal"]]), "top": float(largest[RULES["top"]])},
            f"Stored alike, {params.items:,} items leave an error of"
            f" {largest[RULES['equal']]:.2f} at d = {max(params.dimensions):,}: more items than the"
            " memory has room for are lost together, the most frequent too. Storing only the most"
            f" frequent d/8 leaves {largest[RULES['top']]:.2g}.",
            unit="probability of a wrong class",
        )
    )


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
