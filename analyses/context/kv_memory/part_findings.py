"""What a run says of channels, bits, blocks, episodes and the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from analyses.context.kv_memory.fewer_numbers import THINK, TRUNCATED, overlap
from analyses.context.kv_memory.thinned_tables import rate_of
from workbench.result import Finding
from workbench.wording import percent

if TYPE_CHECKING:
    from analyses.context.kv_memory.fewer_numbers import ChannelMeasures
    from workbench.result import Result


def add_channels(result: Result, measures: ChannelMeasures) -> None:
    """How many channels can go."""
    rows = pd.DataFrame(measures.rows)
    table = means(rows, ["method", "share"], ["error", "divergence"])
    result.tables["channels"] = table
    at = table.set_index(["method", "share"])
    whole = at.loc[("whole keys", 0.0)]
    think, best = at.loc[(THINK, 0.4)], at.loc[(TRUNCATED, 0.4)]
    values = {
        "lost": float(whole["logprob"] - think["logprob"]),
        "error": float(think["error"]),
        "best_error": float(best["error"]),
        "best_lost": float(whole["logprob"] - best["logprob"]),
    }
    says = (
        f"Without the 40 % of key channels that ThinK scores lowest, {percent(think['rate'])} of"
        f" the questions are answered, {percent(whole['rate'])} with all of them;"
        f" the answer loses {values['lost']:.2f} nats. Scores of attention are off by"
        f" {percent(values['error'])}; the best truncation of the same size is off by"
        f" {percent(values['best_error'])}."
    )
    same, chance = overlap(measures.scores)
    if same == same:
        values |= {"overlap": same, "overlap_chance": chance}
        says += (
            f" Two texts keep {percent(same)} of their channels in common, chance"
            f" {percent(chance)}."
        )
    result.add(Finding("channels", values, says.replace(" -", " −"), unit="nats"))
    if measures.scores:
        share = measures.scores[0]
        whole_score = share.sum(-1, keepdims=True)
        result.arrays["channel_shares"] = xr.DataArray(
            (share / np.maximum(whole_score, 1e-30)).astype(np.float32),
            dims=("layer", "kv_head", "channel"),
        )


def means(rows: pd.DataFrame, by: list[str], columns: list[str]) -> pd.DataFrame:
    """Rates with intervals over contexts, and means of what else was measured."""
    found = []
    for key, group in rows.groupby(by, sort=False):
        named = dict(zip(by, key, strict=True))
        more = {c: float(group[c].mean()) for c in [*columns, "logprob"]}
        found.append(named | rate_of(group) | more | {"n": len(group)})
    return pd.DataFrame(found)


def add_bits(result: Result, rows: pd.DataFrame) -> None:
    """What few bits cost."""
    table = means(rows, ["bits", "grouping"], ["of_keys", "of_values", "divergence", "bytes"])
    result.tables["bits"] = table
    at = table.set_index(["bits", "grouping"])
    whole = at.loc[(16, "as it is")]
    values = {
        f"lost_{bits}": float(whole["logprob"] - at.loc[(bits, "kivi"), "logprob"])
        for bits in (8, 4, 2)
    }
    values["lost_2_channel"] = float(whole["logprob"] - at.loc[(2, "channel"), "logprob"])
    lost = ", ".join(f"{percent(at.loc[(bits, 'kivi'), 'rate'])} in {bits}" for bits in (8, 4, 2))
    says = (
        f"Of {percent(whole['rate'])} of the questions answered from the whole cache, few bits"
        f" leave {lost} bits (keys scaled by channel, values by token). In 2 bits the answer loses"
        f" {values['lost_2']:.1f} nats; with values scaled by channel too,"
        f" {values['lost_2_channel']:.1f}."
    )
    result.add(Finding("bits", values, says.replace(" -", " −"), unit="nats"))
