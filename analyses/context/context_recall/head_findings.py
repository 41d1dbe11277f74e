"""What a run says of heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.context.context_recall.constants import (
    INDUCTION,
    INTACT,
    RANDOM,
    RETRIEVAL,
    SHARE,
    TASKS,
    THRESHOLD,
)
from analyses.context.context_recall.head_sets import top_heads
from analyses.measures.statistics import spearman
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result


def add_heads(result: Result) -> None:
    """How many heads retrieve, and which of them copy any repeated text."""
    table = result.tables["heads"]
    n = len(table)
    above = table[table["retrieval"] > THRESHOLD]
    best = table.sort_values(["retrieval", "attention"], ascending=False).iloc[0]
    k = max(1, round(SHARE * n))
    shared = set(top_heads(table, ["retrieval", "attention"], k)) & set(
        top_heads(table, ["induction"], k)
    )
    values = {
        "heads": float(len(above)),
        "share": len(above) / n,
        "best": float(best["retrieval"]),
        "best_held_out": float(best["held_out"]),
        "shared": float(len(shared)),
        "by_chance": k * k / n,
        "with_induction": spearman(table["retrieval"].to_numpy(), table["induction"].to_numpy()),
        "with_causal": spearman(table["retrieval"].to_numpy(), table["causal"].to_numpy()),
        "with_held_out": spearman(table["retrieval"].to_numpy(), table["held_out"].to_numpy()),
    }
    says = (
        f"{counted(len(above), 'head')} of {n} ({percent(len(above) / n)}) look most at the very"
        f" token of the needle that is about to be said, for more than {percent(THRESHOLD)} of"
        f" answers. {best['label']} does so for {percent(best['retrieval'])} of them, on other"
        f" facts for {percent(best['held_out'])}, and for {percent(best['other'])} while another"
        f" fact is asked for. Of the first {k} by this score {len(shared)} are among the first {k}"
        f" induction heads (by chance {k * k / n:.1f})."
    )
    result.add(Finding("heads", values, says, unit="heads"))


def add_ablation(result: Result) -> None:
    """What is lost without the heads, beside random ones."""
    table = result.tables["ablation"]
    count = int(table["count"].max())
    values, spoken = {}, []
    for task in TASKS:
        part = table[table["task"] == task]
        if part.empty:
            continue
        own = float(part.loc[part["off"] == INTACT, "rate"].iloc[0])
        rates = {name: _rates(part, name, count) for name in (RETRIEVAL, INDUCTION, RANDOM)}
        key = task.replace(" ", "_")
        values[f"{key}_intact"] = own
        for name, each in rates.items():
            values[f"{key}_{name.split()[0]}"] = float(each.mean())
        worst = rates[RANDOM]
        spoken.append(
            f"{task} {percent(own)} → {percent(rates[RETRIEVAL].mean())} (first induction heads"
            f" off: {percent(rates[INDUCTION].mean())}; random ones: {percent(worst.min())} to"
            f" {percent(worst.max())})"
        )
    says = f"With the first {counted(count, 'retrieval head')} off: {'; '.join(spoken)}."
    result.add(Finding("ablation", values, says, unit="share right"))


def _rates(part: pd.DataFrame, off: str, count: int) -> np.ndarray:
    rows = part[(part["off"] == off) & (part["count"] == count)]
    return np.array(rows["rate"], dtype=float)
