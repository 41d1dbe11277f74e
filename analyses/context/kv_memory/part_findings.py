"""What a run says of channels, bits, blocks, episodes and the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from analyses.context.kv_memory.block_fetches import (
    ALIKE,
    EVEN,
    KINDS,
    NEIGHBOURS,
    SHUFFLED,
    SURPRISE,
)
from analyses.context.kv_memory.fewer_numbers import THINK, TRUNCATED, overlap
from analyses.context.kv_memory.past_window import LAMBDA, PLAIN
from analyses.context.kv_memory.thinned_tables import rate_of
from analyses.measures.statistics import mean_interval, share_interval
from workbench.result import Finding
from workbench.wording import percent, percent_span

if TYPE_CHECKING:
    from analyses.context.kv_memory.block_fetches import BlockMeasures
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
    lost, spread = paired_loss(rows, ["method", "share"], ("whole keys", 0.0), (THINK, 0.4))
    values = {
        "lost": lost,
        "error": float(think["error"]),
        "best_error": float(best["error"]),
        "best_lost": float(whole["logprob"] - best["logprob"]),
        "texts": float(rows["context"].nunique()),
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
    result.add(
        Finding("channels", values, says.replace(" -", " −"), unit="nats",
                interval={"lost": spread})
    )  # fmt: skip
    if measures.scores:
        share = measures.scores[0]
        whole_score = share.sum(-1, keepdims=True)
        result.arrays["channel_shares"] = xr.DataArray(
            (share / np.maximum(whole_score, 1e-30)).astype(np.float32),
            dims=("layer", "kv_head", "channel"),
        )


def paired_loss(
    rows: pd.DataFrame, by: list[str], whole: tuple[Any, ...], changed: tuple[Any, ...]
) -> tuple[float, tuple[float, float]]:
    """How much less likely answers are in one setting than in another, in nats, paired by question,
    with its interval over texts.
    """
    at = rows.set_index([*by, "context", "question"])["logprob"].sort_index()
    apart = at.loc[whole] - at.loc[changed]
    return mean_interval(apart.to_numpy(), apart.index.get_level_values("context").to_numpy())


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
    values, spread = dict[str, float](), dict[str, tuple[float, float]]()
    for bits in (8, 4, 2):
        values[f"lost_{bits}"], spread[f"lost_{bits}"] = paired_loss(
            rows, ["bits", "grouping"], (16, "as it is"), (bits, "kivi")
        )
    values["texts"] = float(rows["context"].nunique())
    values["lost_2_channel"] = float(whole["logprob"] - at.loc[(2, "channel"), "logprob"])
    lost = ", ".join(f"{percent(at.loc[(bits, 'kivi'), 'rate'])} in {bits}" for bits in (8, 4, 2))
    says = (
        f"Of {percent(whole['rate'])} of the questions answered from the whole cache, few bits"
        f" leave {lost} bits (keys scaled by channel, values by token). In 2 bits the answer loses"
        f" {values['lost_2']:.1f} nats; with values scaled by channel too,"
        f" {values['lost_2_channel']:.1f}."
    )
    result.add(Finding("bits", values, says.replace(" -", " −"), unit="nats", interval=spread))


def add_blocks(result: Result, measures: BlockMeasures) -> None:
    """Whether the block with the answer is fetched."""
    lookups, layers = pd.DataFrame(measures.lookups), pd.DataFrame(measures.layers)
    if lookups.empty:
        return
    result.tables["lookups"] = lookups
    by_layer = layers.groupby("layer", sort=True)
    result.tables["fetched"] = pd.DataFrame({
        "hit": by_layer["hit"].mean(), "agreement": by_layer["agreement"].mean(),
        "mass": by_layer["mass"].mean(), "n": by_layer.size(),
    }).reset_index()  # fmt: skip
    result.tables["raster"] = pd.DataFrame(measures.raster)
    hits, groups = lookups["hits"].to_numpy(), lookups["context"].to_numpy()
    mean, (low, high) = share_interval(hits, groups)
    chance = float(lookups["chance"].mean())
    rate = rate_of(lookups)
    best = result.tables["fetched"].sort_values("hit", kind="stable").iloc[-1]
    says = (
        f"A layer fetches the block with the answer for {percent(mean)} of the questions on average"
        f" (95 %: {percent_span(low, high)}; drawing blocks would give {percent(chance)}), layer"
        f" {best['layer']:.0f} most often, {percent(best['hit'])}. What is seen then,"
        f" {percent(float(lookups['seen'].mean()))} of the text, answers {percent(rate['rate'])};"
        f" look-up scores and true attention to the blocks agree by a rank correlation of"
        f" {layers['agreement'].mean():.2f}."
    )
    values = {
        "value": mean, "chance": chance, "answered": rate["rate"],
        "agreement": float(layers["agreement"].mean()),
    }  # fmt: skip
    result.add(
        Finding("blocks", values, says.replace(" -", " −"), unit="share of layers",
                interval={"value": (low, high)})
    )  # fmt: skip


def add_episodes(result: Result, measures: BlockMeasures) -> None:
    """Whether surprising boundaries are better than others of the same sizes."""
    rows = pd.DataFrame(measures.episodes)
    if rows.empty:
        return
    table = means(rows, ["boundaries", "retrieval"], ["hits", "f1", "episodes", "tokens"])
    result.tables["episodes"] = table
    wide = rows[rows["retrieval"] == ALIKE].pivot_table(
        index=["context", "question"], columns="boundaries", values="hits", sort=False
    )
    groups = wide.index.get_level_values("context").to_numpy()
    gain, (low, high) = mean_interval((wide[SURPRISE] - wide[SHUFFLED]).to_numpy(), groups)
    at = table.set_index(["boundaries", "retrieval"])
    near = rows[rows["boundaries"] == SURPRISE].pivot_table(
        index=["context", "question"], columns="retrieval", values="hits", sort=False
    )
    beside, (near_low, near_high) = mean_interval(
        (near[NEIGHBOURS] - near[ALIKE]).to_numpy(), groups
    )
    fetch = {kind: percent(float(at.loc[(kind, ALIKE), "hits"])) for kind in KINDS}
    interval = f" (95 %: {100 * low:+.0f} to {100 * high:+.0f})" if low == low else ""
    says = (
        f"Episodes that begin where the text surprises hold the answer in {fetch[SURPRISE]} of the"
        f" layers' fetches, as many of one size in {fetch[EVEN]}, the same sizes at random in"
        f" {fetch[SHUFFLED]}: {100 * gain:+.0f} points against random{interval}. Giving 30 % of the"
        f" room to neighbours changes that by {100 * beside:+.0f} points. Boundaries meet the"
        f" beginnings of sentences with an F1 of {at.loc[(SURPRISE, ALIKE), 'f1']:.2f}, random ones"
        f" with {at.loc[(SHUFFLED, ALIKE), 'f1']:.2f}."
    )
    values = {"gain": gain, "neighbours": beside}
    spread = {"gain": (low, high), "neighbours": (near_low, near_high)}
    result.add(
        Finding("episodes", values, says.replace("-", "−"), unit="share of layers",
                interval=spread)
    )  # fmt: skip


def add_past(
    result: Result, stretches: list[dict[str, Any]], needles: list[dict[str, Any]], window: int
) -> None:
    """Fluency and recall past the window."""
    places, found = pd.DataFrame(stretches), pd.DataFrame(needles)
    result.tables["past"], result.tables["past_needles"] = places, found
    beyond = places[places["windows"] > 1].groupby("mode", sort=False)["loss"].mean()
    within = places[places["windows"] <= 1].groupby("mode", sort=False)["loss"].mean()
    said = found.set_index(["needle", "mode"])["logprob"]
    says = (
        f"Beyond the {window:,} tokens that it was trained on the loss is {beyond[PLAIN]:.2f} nats,"
        f" {within[PLAIN]:.2f} within; under LM-Infinite's mask {beyond[LAMBDA]:.2f}. A needle"
        f" within the mask's window has a log-probability of {said['late', LAMBDA]:.1f} nats under"
        f" it ({said['late', PLAIN]:.1f} plainly), one beyond it {said['early', LAMBDA]:.1f}"
        f" ({said['early', PLAIN]:.1f}): fluency is one thing, recall another."
    )
    values = {
        "beyond": float(beyond[PLAIN]), "within": float(within[PLAIN]),
        "masked": float(beyond[LAMBDA]), "early": float(said["early", LAMBDA]),
        "early_plain": float(said["early", PLAIN]), "late": float(said["late", LAMBDA]),
    }  # fmt: skip
    result.add(Finding("past_window", values, says.replace(" -", " −"), unit="nats"))
