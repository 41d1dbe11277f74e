"""What the live experiment says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.exposure_decay import half_life
from analyses.training.retention.constants import (
    EARLY_DROP,
    KEPT,
    LEAST_RECITED,
    NOVEL,
    RECALLED,
    RECOGNIZED,
    RESET,
    TELLING_DROP,
    WARMED,
)
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result


def first_above(table: pd.DataFrame, column: str, level: float) -> int:
    """The fewest readings behind which a rate is at a level or above; -1 where none is."""
    rows = table[(table["readings"] > 0) & (table[column] >= level)]
    return int(rows["readings"].min()) if len(rows) else -1


def match_half_life(later: pd.DataFrame) -> float:
    """Updates behind which the studied texts go on for half as many tokens as right after studying;
    infinite where they never do.
    """
    rows = later[later["variant"] == RESET].sort_values("updates")
    start = float(rows["match"].iloc[0])
    if start < LEAST_RECITED:
        return math.inf
    rest = rows[rows["updates"] > 0]
    return half_life(rest["updates"].to_numpy(float), rest["match"].to_numpy(float) / start)


def dropped(later: pd.DataFrame, variant: str, until: int) -> float:
    """Share of the tokens recited right after studying that is gone at the last measured update
    up to `until`; NaN where it was not measured, or hardly anything was recited.
    """
    rows = later[(later["variant"] == variant) & (later["updates"] <= until)]
    rows = rows.sort_values("updates")
    if len(rows) < 2 or rows["match"].iloc[0] < LEAST_RECITED:
        return math.nan
    return float(1 - rows["match"].iloc[-1] / rows["match"].iloc[0])


def add_few_shot(result: Result) -> None:
    """Recognition, recall, what is left, and what of the early drop is the optimizer's."""
    table, later = result.tables["few_shot"], result.tables["few_later"]
    study = table[table["foil"] == NOVEL].sort_values("readings")
    before, one, last = study.iloc[0], study.iloc[min(1, len(study) - 1)], study.iloc[-1]
    told = first_above(study, "recognized", RECOGNIZED)
    said = first_above(study, "recalled", RECALLED)
    half = match_half_life(later)
    says = (
        f"Live: {counted(int(last['n']), 'new text')} read once are recognized in"
        f" {percent(one['recognized'])} of pairs with a new one (before any reading"
        f" {percent(before['recognized'])}, chance 50 %), and {percent(one['recalled'])} are"
        f" recalled; after {counted(int(last['readings']), 'reading')}"
        f" {percent(last['recognized'])} and {percent(last['recalled'])}."
    )
    result.add(
        Finding(
            "few_shot",
            {
                "recognized": float(told),
                "recalled": float(said),
                "half_life": half if math.isfinite(half) else -1.0,
            },
            says,
            unit="readings; half_life: updates; −1: not reached",
        )
    )
    rows = later[later["variant"] == RESET].sort_values("updates")
    start, end = rows.iloc[0], rows.iloc[-1]
    says = (
        f"Behind {int(end['updates']):,} updates on other text {percent(end['recalled'])} are still"
        f" recalled ({percent(start['recalled'])} right after studying) and recognition is"
        f" {percent(end['recognized'])} ({percent(start['recognized'])}); they go on for"
        f" {end['match']:.1f} tokens instead of {start['match']:.1f}"
        + (f", half of them gone after {half:,.0f} updates." if math.isfinite(half) else ".")
    )
    values = {"recalled": float(end["recalled"]), "recognized": float(end["recognized"])}
    result.add(Finding("few_left", values, says, unit="share of texts"))
    drops = {name: dropped(later, name, EARLY_DROP) for name in (RESET, WARMED, KEPT)}
    known = {name: drop for name, drop in drops.items() if np.isfinite(drop)}
    if len(known) > 1:
        until = int(min(later.groupby("variant")["updates"].max()))
        ends = {name: dropped(later, name, until) for name in known}
        says = (
            f"The first {EARLY_DROP} updates take {_shares(known)} of the tokens recited, the first"
            f" {until} take {_shares(ends)}."
        )
        if known.get(RESET, 0.0) >= TELLING_DROP:
            says += (
                " What only the reset takes at once is the optimizer's; what all lose in the end is"
                " interference."
            )
        keys = {RESET: "reset", WARMED: "warmed_up", KEPT: "kept"}
        result.add(
            Finding("early_drop", {keys[name]: drop for name, drop in known.items()}, says,
                    unit="share of tokens")
        )  # fmt: skip


def _shares(drops: Mapping[str, float]) -> str:
    return ", ".join(f"{percent(max(0.0, drop))} ({name})" for name, drop in drops.items())
