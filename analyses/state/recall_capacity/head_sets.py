"""How the largest set that a layer of attention fits grows with its heads and its context."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.statistics import mean_interval
from analyses.state.recall_capacity.head_capacity import FITTED, WIDTH, Fit, fit
from workbench.result import Finding, Result
from workbench.wording import percent

if TYPE_CHECKING:
    import pandas as pd

    from analyses.state.recall_capacity.params import Params
    from workbench.progress import Progress

HEADS, CONTEXT = (1, 2, 4), 8
"""Heads that are compared, at this many tokens of context."""
CONTEXTS, AT_HEADS = (2, 4, 8, 16), 2
"""Tokens of context that are compared, with this many heads."""
EXAMPLES = tuple(range(24, 121, 12))
"""Examples of the sets, for each head."""
STEPS = 2000


def grid() -> list[tuple[int, int]]:
    """(heads, context) of every layer that is trained."""
    return [(heads, CONTEXT) for heads in HEADS] + [
        (AT_HEADS, context) for context in CONTEXTS if context != CONTEXT
    ]


def measure(result: Result, params: Params, progress: Progress) -> None:
    """Tables `head_sets` and `head_capacity`, and their findings."""
    import pandas as pd

    fits: list[Fit] = []
    work = [(heads, context, seed) for heads, context in grid() for seed in _seeds(params)]
    for number, (heads, context, seed) in enumerate(work):
        part = progress.subprogress(number / len(work), (number + 1) / len(work))
        says = f"{heads} heads, {context} tokens of context, training {seed + 1}"
        sizes = [heads * each for each in EXAMPLES]
        fits += fit(heads, context, sizes, seed, STEPS, partial(part, says=says))
    table = pd.DataFrame([vars(one) for one in fits])
    result.tables["head_sets"] = table.assign(fitted=table["right"] >= FITTED)
    result.tables["head_capacity"] = _capacity(result.tables["head_sets"])
    _add_findings(result)


def _seeds(params: Params) -> range:
    return range(params.seed, params.seed + params.trainings)


def largest(rows: pd.DataFrame) -> int:
    """The largest set of one training that is fitted, with all smaller ones; 0 where none is."""
    fitted = rows.sort_values("examples")
    whole = fitted["examples"][fitted["fitted"].cummin()]
    return int(whole.max()) if len(whole) else 0


def _capacity(table: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for (heads, context), part in table.groupby(["heads", "context"]):
        each = np.array([largest(one) for _, one in part.groupby("seed")], float)
        mean, (low, high) = mean_interval(each)
        near = part[part["examples"] == part["examples"].max()]
        rows.append(
            {
                "heads": heads,
                "context": context,
                "capacity": mean,
                "low": low,
                "high": high,
                "trainings": len(each),
                "limited": bool((each == part["examples"].max()).any()),
                "saturated": float(near["saturated"].mean()),
            }
        )
    return pd.DataFrame(rows)


def _add_findings(result: Result) -> None:
    capacity, sets = result.tables["head_capacity"], result.tables["head_sets"]
    by_heads = capacity[capacity["context"] == CONTEXT].sort_values("heads")
    slopes = []
    for _, part in sets[sets["context"] == CONTEXT].groupby("seed"):
        sizes = [max(1, largest(one)) for _, one in part.groupby("heads")]
        heads = sorted(part["heads"].unique())
        slopes.append(float(np.polyfit(np.log(heads), np.log(sizes), 1)[0]))
    slope, (low, high) = mean_interval(np.array(slopes))
    words = [f"{row.capacity:.0f} with {row.heads}" for row in by_heads.itertuples()]
    interval = "" if math.isnan(low) else f" (95 %: {low:.2f} to {high:.2f})"
    bound = " At least one set of the largest size was fitted too, so some capacities are larger."
    result.add(
        Finding(
            "heads",
            slope,
            f"The largest set of random examples that a layer of attention fits is"
            f" {', '.join(words)} heads ({CONTEXT} tokens of context, width {WIDTH}): it grows as"
            f" H^{slope:.2f}{interval}; the theory says 1."
            f"{bound if by_heads['limited'].any() else ''}",
            unit="exponent",
            interval=None if math.isnan(low) else (low, high),
        )
    )
    by_context = capacity[capacity["heads"] == AT_HEADS].sort_values("context")
    tokens = [f"{row.capacity:.0f} with {row.context}" for row in by_context.itertuples()]
    sharp = [f"{percent(row.saturated)} with {row.heads}" for row in by_heads.itertuples()]
    result.add(
        Finding(
            "context_length",
            {f"context_{row.context}": float(row.capacity) for row in by_context.itertuples()},
            f"With {AT_HEADS} heads it is {', '.join(tokens)} tokens of context; a head has"
            f" {WIDTH} numbers, and beyond as many tokens the theory expects no more. Saturated"
            " (largest weight above 90 %) on the largest sets are, of heads and examples,"
            f" {', '.join(sharp)} heads.",
            unit="examples",
        )
    )
