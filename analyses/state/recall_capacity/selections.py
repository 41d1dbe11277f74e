"""What of a run's tables one picture or table shows; and the memory that a page draws while one
looks on.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.state.recall_capacity import outer_product as outer
from analyses.state.recall_capacity.constants import DESIGNS, MEASURED, RULES
from workbench.draw import colour
from workbench.draw.long_tables import HUES
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result
    from workbench.views import Pick

_MEASURES = {"all_": "likeliest of all tokens", "among_": "likeliest of the row's values"}
_COLUMNS = {"all_": "all_tokens", "among_": "among_values"}
_GUESS = "guess among the row's values"
_BINS = 16
QUARTERS = [(1.0, "first"), (2.0, "second"), (3.0, "third"), (4.0, "last")]
"""Ticks of a place in the row."""


def by_pairs(run: Result) -> pd.DataFrame:
    """Recall of both kinds and the guess, a row for each number of pairs: columns curve, share,
    low, high.
    """
    import pandas as pd

    table = run.tables["by_pairs"]
    parts = [
        pd.DataFrame(
            {
                "pairs": table["pairs"],
                "curve": words,
                "share": table[_COLUMNS[prefix]],
                "low": table[f"{prefix}low"],
                "high": table[f"{prefix}high"],
            }
        )
        for prefix, words in _MEASURES.items()
    ]
    flat = {"share": table["guess"], "low": table["guess"], "high": table["guess"]}
    parts.append(pd.DataFrame({"pairs": table["pairs"], "curve": _GUESS, **flat}))
    return pd.concat(parts, ignore_index=True)


def by_order(run: Result) -> pd.DataFrame:
    """Recall by place, with the number of pairs in words."""
    table = run.tables["by_order"]
    return table.assign(row=[f"{pairs} pairs" for pairs in table["pairs"]])


def by_gap(run: Result) -> pd.DataFrame:
    table = run.tables["by_gap"]
    return table.assign(row=[f"{pairs} pairs" for pairs in table["pairs"]])


def by_reading(run: Result) -> pd.DataFrame:
    """Recall of the same rows read once and twice, as means with intervals, in percent."""
    return _in_percent(run.tables["by_reading"])


def memories(run: Result) -> pd.DataFrame:
    """Recall with and without each memory, as means with intervals, in percent."""
    return _in_percent(run.tables["memories"])


def _in_percent(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(
        row=[f"{pairs} pairs" for pairs in table["pairs"]],
        mean=100 * table["recall"],
        low=100 * table["low"],
        high=100 * table["high"],
    )


def rebinding(run: Result) -> pd.DataFrame:
    """What is answered for either kind of key: shares new, old and other."""
    table = run.tables["rebinding"]
    return table.assign(
        new=table["recall"],
        new_low=table["low"],
        new_high=table["high"],
        condition=[f"key {words}" for words in table["key"]],
    )


# -- state -----------------------------------------------------------------------------------------


def state_size(run: Result) -> pd.DataFrame | None:
    """Mean recall over the trainings of each model that trained, the most pairs first: columns
    log_bytes, recall, low, high, curve, title.

    The training whose weights are there was measured on fresh rows; the others are as recorded.
    """
    table = run.tables.get("state_size")
    if table is None or table.empty:
        return None
    first = table.loc[table["source"] == MEASURED, ["model", "training_seed"]].drop_duplicates()
    own = dict(first.to_numpy())
    is_first = table["training_seed"] == table["model"].map(own)
    other = table["model"].str.startswith(f"{DESIGNS}-")  # of one layer, and shown by themselves
    rows = table[table["trained"] & ~other & ((table["source"] == MEASURED) | ~is_first)]
    keys = ["pairs", "family", "model", "grows", "held_bytes"]
    groups = rows.groupby(keys, sort=False)
    means = groups["recall"].mean().reset_index()
    several = groups["recall"].count().to_numpy() > 1
    ends = {"low": groups["recall"].min(), "high": groups["recall"].max()}
    measured = rows[rows["source"] == MEASURED].set_index(keys)
    index = means.set_index(keys).index
    for end, values in ends.items():
        means[end] = np.where(several, values.to_numpy(), measured[end].reindex(index).to_numpy())
    means["curve"] = [
        f"{family}, grows with the text" if grows else family
        for family, grows in zip(means["family"], means["grows"], strict=True)
    ]
    means["log_bytes"] = np.log2(means["held_bytes"].astype(float))
    means["title"] = [f"Recall of {pairs} pairs, by bytes of state (%)" for pairs in means["pairs"]]
    return means.sort_values(["pairs", "held_bytes"], ascending=[False, True], kind="stable")


def designs(run: Result) -> pd.DataFrame | None:
    """Gains of the planted router over each other design, in points."""
    table = run.tables.get("designs")
    if table is None:
        return None
    shown = {"mean": table["gain"], "low": table["low"], "high": table["high"]}
    return table.assign(
        row=[f"{pairs} pairs" for pairs in table["pairs"]],
        **{name: 100 * values for name, values in shown.items()},
    )


def forgetting(run: Result) -> pd.DataFrame | None:
    table = run.tables.get("forgetting")
    return None if table is None else table.assign(condition=table["model"])


def byte_ticks(run: Result) -> list[tuple[float, str]]:
    """Powers of two around all sizes of state, in words."""
    sizes = run.tables["state_size"]["held_bytes"].astype(float)
    low, high = math.floor(math.log2(sizes.min())), math.ceil(math.log2(sizes.max()))
    return [
        (float(k), f"{2**k // 1024} KB" if k >= 10 else f"{2**k} B") for k in range(low, high + 1)
    ]


def byte_range(run: Result) -> tuple[float, float]:
    """How far the axis of bytes goes, with room beside the first and the last point."""
    ticks = byte_ticks(run)
    return ticks[0][0] - 0.3, ticks[-1][0] + 0.3


def stored(run: Result) -> pd.DataFrame | None:
    """The stored organisms in rows, trainings that did not train among them."""
    table = run.tables.get("state_size")
    if table is None or table.empty:
        return None
    return table.sort_values(["family", "state_bytes", "pairs"], kind="stable")


# -- outer products --------------------------------------------------------------------------------


def error_curves(run: Result) -> pd.DataFrame:
    """Errors, measured and of the theory, on scales of logarithms: columns at, error, curve."""
    import pandas as pd

    table = run.tables["errors"]
    at = np.log2(table["dimension"].astype(float))
    parts = []
    for rule in RULES.values():
        mine = table["rule"] == rule
        for column, words in (("error", rule), ("expected", f"{rule}: theory")):
            logs = np.log10(table.loc[mine, column])
            parts.append(pd.DataFrame({"at": at[mine], "error": logs, "curve": words}))
    return pd.concat(parts, ignore_index=True)


_NAMES = [name for rule in RULES.values() for name in (rule, f"{rule}: theory")]
ERROR_DASH = {f"y{n}": "dashed" for n in range(1, len(_NAMES), 2)}
"""Curves of the theory, by their number among `_NAMES`."""
ERROR_HUES = {
    name: (HUES[1:5])[n // 2] if n % 2 == 0 else colour.OTHER for n, name in enumerate(_NAMES)
}
LOG_ERRORS = [(float(-k), f"{10.0**-k:g}") for k in range(5)]


def dimension_ticks(run: Result) -> list[tuple[float, str]]:
    dimensions = sorted(set(run.tables["errors"]["dimension"]))
    return [(math.log2(d), f"{d:,}") for d in dimensions]


def top_slopes(run: Result) -> pd.DataFrame:
    """The slopes at the top first, then step by step."""
    return run.tables["slopes"].sort_values(
        ["span", "rule"], kind="stable", ascending=[False, True]
    )


def dimensions(run: Result) -> dict[str, int]:
    return {f"{d:,}": d for d in (256, 32, 64, 128, 512, 1024, 2048)}


def numbers(run: Result) -> dict[str, int]:
    return {f"{n:,}": n for n in (1000, 100, 300, 3000, 10_000)}


def exponents(run: Result) -> dict[str, float]:
    words = {2.0: "2", 1.0: "1: nearly alike", 1.5: "1.5", 3.0: "3: very unequal"}
    return {word: exponent for exponent, word in words.items()}


def rules(run: Result) -> dict[str, str]:
    return {words: rule for rule, words in RULES.items()}


@lru_cache(maxsize=32)
def _memory(rule: str, d: int, items: int, exponent: float, seed: int) -> outer.OuterProduct:
    return outer.build([rule], d, items, exponent, seed)[rule]


def live_memory(run: Result, pick: Pick) -> outer.OuterProduct:
    """One memory of the chosen size, drawn now: a second at most."""
    chosen = (pick["rule"], pick["dimension"], pick["number"], pick["exponent"])
    return _memory(*chosen, int(run.params.get("seed", 0)))


def live_sentence(run: Result, pick: Pick) -> str:
    """What it holds."""
    memory = live_memory(run, pick)
    right = int((memory.margin > 0).sum())
    return (
        f"d = {pick['dimension']:,}, {pick['number']:,} items, {RULES[pick['rule']]}: the class is"
        f" right for {right:,} items, and wrong for {percent(memory.error)} of what comes."
    )


def live_margins(run: Result, pick: Pick) -> dict[str, Any]:
    """Margin and share of right classes by frequency, for `draw.lines`: frame and title."""
    import pandas as pd

    memory = live_memory(run, pick)
    n = len(memory.p)
    edges = np.unique(np.geomspace(1, n + 1, _BINS + 1).astype(int))
    rows = []
    for first, end in pairwise(edges):
        margin = memory.margin[first - 1 : end - 1]
        at = math.log10(math.sqrt(first * max(first, end - 1)))
        rows.append((at, 100 * float((margin > 0).mean()), float(margin.mean())))
    frame = pd.DataFrame(rows, columns=["rank", "right", "margin"])
    where = f"d = {pick['dimension']:,}, {n:,} items, exponent {pick['exponent']:g}"
    return {"frame": frame, "where": f"{where}, {RULES[pick['rule']]}"}


# -- small models ----------------------------------------------------------------------------------

HEAD_TICKS = [(float(k), str(2**k)) for k in range(6)]
EXAMPLE_TICKS = [(float(k), f"{2**k:,}") for k in range(3, 12)]


def by_heads(run: Result) -> pd.DataFrame:
    """Capacity by heads on scales of doublings, beside one head's times the heads."""
    return _capacity(run, "heads")


def by_context(run: Result) -> pd.DataFrame:
    """Capacity by tokens of context, on scales of doublings."""
    return _capacity(run, "context")


def _capacity(run: Result, by: str) -> pd.DataFrame:
    import pandas as pd

    table = run.tables["head_capacity"]
    other = "context" if by == "heads" else "heads"
    most = (
        table[other].value_counts().idxmax()
        if by == "heads"
        else table.loc[table["context"] == table["context"].min(), "heads"].iloc[0]
    )
    mine = table[(table[other] == most) & (table["capacity"] > 0)].sort_values(by)
    logs = np.log2(mine[by].astype(float))
    parts = [pd.DataFrame({"log_capacity": np.log2(mine["capacity"]), "curve": "measured"})]
    if by == "heads" and len(mine):
        first = math.log2(mine["capacity"].iloc[0]) - logs.iloc[0]
        parts.append(
            pd.DataFrame({"log_capacity": first + logs, "curve": "one head's, times heads"})
        )
    return pd.concat([part.assign(**{f"log_{by}": logs}) for part in parts], ignore_index=True)


def chains(run: Result) -> pd.DataFrame:
    """Mean recall over trainings along training, with layers and links in words."""
    means = run.tables["chains"].groupby(["layers", "links", "step"])["recall"].mean().reset_index()
    words = {1: "direct", 2: "over 2 links", 3: "over 3 links"}
    return means.assign(
        model=[counted(layers, "layer") for layers in means["layers"]],
        distance=means["links"].map(words),
    )


RANKS = [(float(k), f"{10**k:,}") for k in range(6)]
"""Ticks of a rank."""
