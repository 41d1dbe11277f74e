"""From what changes along a training to tables and findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.features.function_tokens.constants import GROUPS
from analyses.features.function_tokens.reactivation_findings import value_key
from workbench.result import Finding, Result
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

_LIVE = ("n_alive", "function_edge_share", "shuffled_edge_share")


def add_training(result: Result, table: pd.DataFrame, name: str) -> None:
    result.tables["training_losses"] = table
    of_model = table[table["predictor"] == "model"].pivot(
        index="step", columns="transition", values="loss"
    )[list(GROUPS)]
    half = {group: _halfway(of_model[group]) for group in GROUPS}
    last = of_model.iloc[-1]
    steps = ", ".join(f"{group} by step {half[group]:,}" for group in GROUPS)
    result.add(
        Finding(
            "training",
            {
                **{value_key("half_step", g): float(half[g]) for g in GROUPS},
                **{value_key("loss", g): float(last[g]) for g in GROUPS},
            },
            f"In the training of {name}, half of the fall of each loss is done: {steps}. At the end"
            f" the loss is highest at {last.idxmax()} ({last.max():.2f} nats).",
            unit="steps, and nats per token",
        )
    )


def add_alive(result: Result, table: pd.DataFrame, name: str) -> None:
    """Features alive at those steps of a training that have an autoencoder; nothing where none
    has.
    """
    if table.empty:
        return
    result.tables["live_features"] = table
    said = "; ".join(
        f"step {row.step:,}{' (random weights)' if row.step == 0 else ''}: {row.n_alive:,} of"
        f" {counted(row.d_sae, 'feature')} alive, {percent(row.function_edge_share)} of the edges"
        f" belong"
        f" to function tokens ({percent(row.shuffled_edge_share)} with tokens shuffled)"
        for row in table.itertuples()
    )
    several = table["sae"].nunique() > 1
    shares = {
        value_key(f"{what}_{row.step}", str(row.sae)) if several else f"{what}_{row.step}": getattr(
            row, what
        )
        for what in _LIVE
        for row in table.itertuples()
    }
    result.add(
        Finding(
            "live_features",
            {key: float(value) for key, value in shares.items()},
            f"Autoencoders trained on {counted(table['step'].nunique(), 'step')} of {name}:"
            f" {said}.",
            unit="features, and shares of edges",
        )
    )


def _halfway(curve: pd.Series) -> int:
    """The first step by which half of the fall from first to last is done."""
    goal = (curve.iloc[0] + curve.iloc[-1]) / 2
    return int(curve.index[int(np.argmax(curve.to_numpy() <= goal))])
