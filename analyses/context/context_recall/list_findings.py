"""What a run says of lists: places, items between, and competing pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from analyses.context.context_recall.constants import (
    ENDS,
    FREE,
    FREE_TWIN,
    LISTS,
    SHUFFLED,
    TWIN,
)
from analyses.context.context_recall.interference import (
    OTHERS,
    PROACTIVE,
    RETROACTIVE,
    SAME,
    SIMILAR,
)
from analyses.context.context_recall.signed_numbers import points, signed
from analyses.measures.statistics import rate_interval
from workbench.result import Finding
from workbench.wording import percent

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result


def add_position(result: Result, frame: pd.DataFrame, lags: Mapping[int, float]) -> None:
    """Recall of lists, its ends, and where wrong answers come from."""
    part = frame[frame["condition"] == LISTS]
    hits = part["correct"].to_numpy(bool)
    low, high = rate_interval(hits, part["context"].to_numpy())
    pairs, lists = int(part["position"].max()), int(part["context"].nunique())
    says = (
        f"Of {lists} lists of {pairs} pairs {percent(hits.mean())} of the pairs are recalled (95 %:"
        f" {percent(low)} to {percent(high)})"
    )
    values = {"rate": float(hits.mean())}
    twin = frame[frame["condition"] == TWIN]
    if len(twin):
        values["untrained_twin"] = float(twin["correct"].mean())
        says += f", by an untrained twin {percent(values['untrained_twin'])}"
    values["intrusions"] = float((part["outcome"] == "intrusion").mean())
    says += f"; {percent(values['intrusions'])} are answered with another pair's word"
    near = {lag: share for lag, share in lags.items() if abs(lag) == 1}
    if near and values["intrusions"] > 0:
        mean = sum(lags.values()) / len(lags)
        values["neighbours"] = sum(near.values()) / len(near)
        says += (
            f" (a neighbour's {percent(values['neighbours'])}, any other's on average"
            f" {percent(mean)})"
        )
    interval = {"rate": (low, high)}
    result.add(Finding("lists", values, f"{says}.", unit="share of pairs", interval=interval))
    for effect in ("primacy", "recency"):
        _add_end(result, effect)
    add_last_word(result)


def add_last_word(result: Result) -> None:
    """How often the last pair's word is given whatever is asked: what recency may be made of."""
    shares = result.arrays["intrusions"].values
    last = float(shares[:-1, -1].mean())
    wrong = shares[:-1, :-1].copy()
    wrong[range(len(wrong)), range(len(wrong))] = float("nan")
    other = float(np.nanmean(wrong))
    says = (
        f"The last pair's word is given to {percent(last)} of the questions about other pairs, any"
        f" other wrong word of the list to {percent(other)} on average; the last pair itself is"
        f" recalled in {percent(float(shares[-1, -1]))}."
    )
    values = {"last": last, "other": other, "recalled": float(shares[-1, -1])}
    result.add(Finding("last_word", values, says, unit="share of questions"))


def _add_end(result: Result, effect: str) -> None:
    table = result.tables["ends"]
    rows = table[table["effect"] == effect].set_index("condition")
    own = rows.loc[LISTS]
    which = f"first {ENDS}" if effect == "primacy" else f"last {ENDS}"
    others = [
        f"{condition} {points(row['mean'])} ({points(row['low'])} to {points(row['high'])})"
        for condition, row in rows.iterrows()
        if condition != LISTS
    ]
    says = (
        f"Recall of the {which} pairs, against those in the middle: {points(own['mean'])} points"
        f" (95 %: {points(own['low'])} to {points(own['high'])}, {int(own['n'])} lists);"
        f" {', '.join(others)}."
    )
    values = {"value": float(own["mean"])}
    interval = (float(own["low"]), float(own["high"]))
    result.add(Finding(effect, values, says, unit="share of pairs", interval=interval))


def add_interference(result: Result) -> None:
    """Items against distance, and the three kinds of competition."""
    fit = result.tables["distance_fit"].set_index("what")
    item, neutral = fit.loc["item between"], fit.loc["as much neutral text"]
    apart = fit.loc["item, less as much neutral text"]
    one, other, third = (
        f"{signed(row['mean'])} (95 %: {signed(row['low'])} to {signed(row['high'])})"
        for row in (item, neutral, apart)
    )
    says = (
        "Each further pair between a pair and its question changes the log-odds of recall by"
        f" {one}, as many tokens of neutral text by {other}; the difference is {third}."
    )
    values = {"item": item["mean"], "neutral": neutral["mean"], "difference": apart["mean"]}
    interval = {
        "item": (item["low"], item["high"]),
        "neutral": (neutral["low"], neutral["high"]),
        "difference": (apart["low"], apart["high"]),
    }
    plain = {name: float(value) for name, value in values.items()}
    spans = {name: (float(low), float(high)) for name, (low, high) in interval.items()}
    result.add(Finding("interference", plain, says, unit="log-odds", interval=spans))
    _add_competition(result)


def _add_competition(result: Result) -> None:
    table = result.tables["competition"].set_index(["kind", "condition"])
    spoken, values = list[str](), dict[str, float]()
    for kind, words, conditions in (
        (PROACTIVE, "the later of two pairs", (SAME, OTHERS)),
        (RETROACTIVE, "the earlier of two pairs", (SAME, OTHERS)),
        (SIMILAR, "a pair among names alike", (SIMILAR, "unlike names")),
    ):
        one, other = table.loc[(kind, conditions[0])], table.loc[(kind, conditions[1])]
        name = kind.replace(" ", "_")
        values |= {name: float(one["rate"]), f"{name}_control": float(other["rate"])}
        spoken.append(f"{words} {percent(one['rate'])} (otherwise {percent(other['rate'])})")
    says = f"Recalled are {', '.join(spoken)}, where both pairs have one name or names are alike."
    result.add(Finding("competition", values, says, unit="share of pairs"))


def add_contiguity(result: Result) -> None:
    """Whether neighbours follow each other in free recall, and which of the two."""
    table = result.tables["contiguity"].set_index(["condition", "lag"])
    on, back = table.loc[(FREE, 1)], table.loc[(FREE, -1)]
    rest = result.tables["contiguity"]
    rest = rest[(rest["condition"] == FREE) & (rest["lag"].abs() > 1)]
    far = float(rest["share"].mean())
    says = (
        f"After a word of a list the next one comes in {percent(on['share'])} (95 %:"
        f" {percent(on['low'])} to {percent(on['high'])}, {int(on['n'])} lists), the one before it"
        f" in {percent(back['share'])} ({percent(back['low'])} to {percent(back['high'])}), any"
        f" other in {percent(far)} on average; a guess gives {percent(on['guess'])}. In another"
        f" order of the same words the next one comes in"
        f" {percent(table.loc[(SHUFFLED, 1), 'share'])}, in an untrained twin in"
        f" {percent(table.loc[(FREE_TWIN, 1), 'share'])}."
    )
    values = {"next": float(on["share"]), "before": float(back["share"]), "others": far}
    spread = {
        "next": (float(on["low"]), float(on["high"])),
        "before": (float(back["low"]), float(back["high"])),
    }
    result.add(Finding("contiguity", values, says, unit="share of places", interval=spread))
