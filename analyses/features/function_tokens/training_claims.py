"""Claims about training: what is learned first, and which features come alive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.claims import NOT_MEASURED, Measured, verdict_of
from analyses.features.function_tokens.constants import GROUPS
from analyses.measures.statistics import rates_apart, sign, wilson_of
from workbench.result import Result
from workbench.wording import percent

if TYPE_CHECKING:
    import pandas as pd


def _first_learned(result: Result) -> Measured:
    if "training" not in result.findings:
        return NOT_MEASURED
    found = result.findings["training"].values
    half = {group: found[f"half_step_{group.replace('→', 'to')}"] for group in GROUPS}
    bounds = _fallen(result, int(max(half["F→F"], half["C→F"])))
    return Measured(
        ", ".join(f"{g} half of the fall by step {int(half[g]):,}" for g in GROUPS),
        verdict_of([sign(*bounds)]),
        (
            f"when both of the first have come half-way, at least {100 * bounds[0]:.0f} points more"
            " of their fall is done than of the others' (95 %, over windows); another model, grown"
            " here on a small corpus; unigrams alone would show the same order"
        ),
    )


def _fallen(result: Result, step: int) -> tuple[float, float]:
    """How much more of their whole fall is done at a step by the slower of F→F and C→F than by the
    faster of the other two: its 95 % interval, from the errors of the losses there and at the ends.
    """
    table = result.tables["training_losses"]
    losses, errors = (
        table[table["predictor"] == "model"].pivot(index="step", columns="transition", values=v)[
            list(GROUPS)
        ]
        for v in ("loss", "standard_error")
    )
    fall = losses.iloc[0] - losses.iloc[-1]
    done = (losses.iloc[0] - losses.loc[step]) / fall
    error = np.sqrt(errors.iloc[0] ** 2 + errors.loc[step] ** 2 + errors.iloc[-1] ** 2) / fall
    slow, fast = done[["F→F", "C→F"]].idxmin(), done[["F→C", "C→C"]].idxmax()
    half = 1.96 * float(np.hypot(error[slow], error[fast]))
    return float(done[slow] - done[fast]) - half, float(done[slow] - done[fast]) + half


def _followed(result: Result) -> list[tuple[str, pd.DataFrame, Any, Any]]:
    """Places with autoencoders of several steps after any training: its rows of
    `live_features`, the first such row and the last.
    """
    found = []
    for at, part in (
        result.tables["live_features"].groupby("sae", sort=False)
        if "live_features" in result.tables
        else []
    ):
        trained = list(part[part["step"] > 0].sort_values("step").itertuples())
        if len(trained) > 1:
            found.append((str(at), part, trained[0], trained[-1]))
    return found


def _come_alive(result: Result) -> Measured:
    followed = _followed(result)
    if not followed:
        return NOT_MEASURED
    verdicts: list[bool | None] = []
    parts = []
    for at, part, first, last in followed:
        before = [first.n_alive, *part.loc[part["step"] == 0, "n_alive"]]
        n = last.d_sae
        verdicts += [sign(*rates_apart(last.n_alive / n, n, alive / n, n)) for alive in before]
        parts.append(
            f"{at}: "
            + ", ".join(f"{row.n_alive:,} at step {row.step:,}" for row in part.itertuples())
        )
    sure = (
        "from the first trained step to the last, and against random weights (step 0); another"
        f" model, each step with an autoencoder of its own, of {followed[0][3].d_sae:,} features,"
        " which its training keeps alive whatever the weights are; 95 % intervals over features"
    )
    return Measured("; ".join(parts), verdict_of(verdicts), sure)


def _edges(result: Result) -> Measured:
    followed = _followed(result)
    if not followed:
        return NOT_MEASURED
    verdicts: list[bool | None] = []
    parts = []
    for at, _, first, last in followed:
        # Edges of one feature go together, so it is features that are counted.
        verdicts.append(sign(*wilson_of(last.function_edge_share, last.n_alive), 0.5))
        verdicts.append(
            sign(
                *rates_apart(
                    last.function_edge_share,
                    last.n_alive,
                    first.function_edge_share,
                    first.n_alive,
                )
            )
        )
        parts.append(
            f"{at}: {percent(first.function_edge_share)} at step {first.step:,},"
            f" {percent(last.function_edge_share)} at step {last.step:,} (tokens shuffled"
            f" {percent(last.shuffled_edge_share)})"
        )
    sure = (
        "95 % intervals over living features; edges grow with occurrences: shuffled tokens show how"
        " much of it"
    )
    return Measured("; ".join(parts), verdict_of(verdicts), sure)
