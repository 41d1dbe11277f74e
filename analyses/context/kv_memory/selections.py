"""What is looked at of a run: the chosen policy, budget and head, and what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.context.kv_memory.constants import CONTROLS, FULL, IN_VIEW, QUARTER, UNKNOWN
from workbench.wording import percent, quoted

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

ALL_HEADS = "all heads"


def recall(run: Result, view: str) -> pd.DataFrame:
    """Recall by kept bytes in percent; the full cache ends every policy's curve."""
    import pandas as pd

    table = run.tables["recall"]
    rows, full = table[table["view"] == view], table[table["policy"] == FULL]
    rows = rows[rows["policy"] != FULL]
    ends = [full.assign(policy=name) for name in rows["policy"].unique()]
    frame = pd.concat([rows, *ends], ignore_index=True)
    return frame.assign(percent=100 * frame["budget"])


DRAWN = 5
"""Policies that are drawn, beside controls: so many names stand over a picture."""


def recall_unknown(run: Result) -> pd.DataFrame:
    """Before the question is known: controls, and the policies that keep most near a quarter."""
    rows = recall(run, UNKNOWN)
    quarter = min(rows["budget"].unique(), key=lambda b: abs(b - QUARTER))
    at = rows[(rows["budget"] == quarter) & ~rows["policy"].isin(CONTROLS)]
    best = at.sort_values(["rate", "logprob"], ascending=False)["policy"][:DRAWN]
    names = [*best, *CONTROLS]
    order = rows["policy"].map({name: n for n, name in enumerate(names)})
    return rows.assign(order=order).dropna(subset="order").sort_values(["order", "budget"])


def recall_in_view(run: Result) -> pd.DataFrame | None:
    rows = recall(run, IN_VIEW)
    return rows if len(rows) else None


def policies(run: Result) -> dict[str, str]:
    """The policies of the text that is shown; the best at a quarter first."""
    names = [str(name) for name in run.arrays["kept_from"]["policy"].values]
    table = run.tables["recall"]
    rows = table[(table["view"] == UNKNOWN) & table["policy"].isin(names)]
    order = rows.groupby("policy", sort=False)["logprob"].mean().sort_values(ascending=False)
    return {name: name for name in order.index}


def budgets(run: Result) -> dict[str, float]:
    """Budgets that are stored, a quarter first, and the full cache."""
    found = {f"{percent(float(b))}": float(b) for b in [*run.tables["budgets"]["budget"], 1.0]}
    return dict(sorted(found.items(), key=lambda item: (item[1] != 0.25, item[1])))


def heads(run: Result) -> dict[str, str]:
    """All KV heads together, and each by layer and number."""
    kept = run.arrays["kept_from"]
    names = [
        f"layer {int(layer)}, KV head {head}"
        for layer in kept["layer"].values for head in range(kept.sizes["kv_head"])
    ]  # fmt: skip
    return {name: name for name in [ALL_HEADS, *names]}


def head_share(run: Result, policy: str, budget: float, head: str) -> np.ndarray:
    """Share of the KV heads that keep each token, (pos,)."""
    kept, places = run.arrays["kept_from"], list(run.tables["budgets"]["budget"])
    at = places.index(budget) if budget in places else len(places)
    held = kept.sel(policy=policy).values <= at  # (layer, kv_head, pos)
    if head != ALL_HEADS:
        layer, number = (int(word.split()[-1]) for word in head.split(","))
        row = list(kept["layer"].values).index(layer)
        return np.asarray(held[row, number], float)
    return np.asarray(held.mean((0, 1)), float)


def answer_in_words(run: Result, policy: str, budget: float) -> str:
    """What the model says over what is kept."""
    table = run.tables["shown"]
    name = FULL if budget >= 1 else policy
    row = table[(table["policy"] == name) & np.isclose(table["budget"], min(budget, 1.0))].iloc[0]
    asked = str(run.tables["asked"]["question"].iloc[0])
    right = "the answer" if row["exact"] else "not the answer"
    who = "The full cache" if name == FULL else f"{policy} at {percent(budget)}"
    return (
        f"Asked for {quoted(asked)}, the model goes on with {quoted(str(row['says']).strip())}:"
        f" {right}. {who} keeps some of the answer in {percent(float(row['survival']))} of heads;"
        f" the answer has a probability of {percent(float(row['probability']))}."
    )


def survival(run: Result) -> pd.DataFrame:
    """Answers kept and evicted, for bars: rows with cases of both kinds."""
    rows = run.tables["survival"]
    rows = rows[(rows["n_kept"] > 0) & (rows["n_evicted"] > 0)]
    return rows.assign(n=rows["n_kept"] + rows["n_evicted"])


def smearing(run: Result) -> pd.DataFrame:
    rows = run.tables["smearing"]
    return rows.rename(columns={"rate": "answered", "low": "answered_low", "high": "answered_high"})


def turns(run: Result) -> pd.DataFrame:
    """Turns at the budget nearest to a quarter."""
    rows = run.tables["turns"]
    budgets = rows["budget"].unique()
    nearest = min(budgets, key=lambda b: abs(b - 0.25))
    return rows[rows["budget"] == nearest]


def channel_curve(run: Result) -> pd.DataFrame:
    """How much of ThinK's score the best channels have, sorted; mean over heads."""
    import pandas as pd

    shares = np.sort(run.arrays["channel_shares"].values, axis=-1)[..., ::-1]
    mean = np.cumsum(shares.mean((0, 1)))
    return pd.DataFrame({"channels": 100 * np.arange(1, len(mean) + 1) / len(mean),
                         "score": 100 * mean, "even": 100 * np.arange(1, len(mean) + 1)
                         / len(mean)})  # fmt: skip


def layers_of_channels(run: Result) -> dict[str, int]:
    n = run.arrays["channel_shares"].sizes["layer"]
    return {f"layer {layer}": layer for layer in range(n)}


def channel_map(run: Result, layer: int) -> pd.DataFrame:
    """Percent of each KV head's score by pair of channels (c, c + half): RoPE turns them together,
    the slowest last.
    """
    import pandas as pd

    shares = 100 * run.arrays["channel_shares"].values[layer]
    half = shares.shape[1] // 2
    pairs = shares[:, :half] + shares[:, half : 2 * half]
    step = max(1, half // 16)
    rows = [
        {"head": f"KV head {head}", "pairs": _range(first, min(first + step, half) - 1),
         "share": float(pairs[head, first : first + step].sum())}
        for head in range(len(pairs)) for first in range(0, half, step)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _range(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}–{last}"


def pruned(run: Result) -> pd.DataFrame:
    rows = run.tables["channels"]
    return rows.assign(percent=100 * rows["share"])


def bit_rates(run: Result) -> pd.DataFrame:
    rows = run.tables["bits"]
    named = [
        f"{row.bits} bits" + ("" if row.bits == 16 else f", {_GROUPINGS[row.grouping]}")
        for row in rows.itertuples()
    ]  # fmt: skip
    return rows.assign(name=named).rename(
        columns={"rate": "answered", "low": "answered_low", "high": "answered_high"}
    )


_GROUPINGS = {"kivi": "values by token", "channel": "values by channel"}


def raster_questions(run: Result) -> dict[str, int]:
    return {f"question {n + 1}": int(n) for n in run.tables["raster"]["question"].unique()}


def raster(run: Result, question: int) -> pd.DataFrame:
    """Blocks by layer for one question, with the attention that each gets in percent."""
    rows = run.tables["raster"]
    return rows[rows["question"] == question]


def hits_by_layer(run: Result) -> pd.DataFrame:
    """Hits, chance and where attention goes, by layer, in percent."""
    rows = run.tables["fetched"]
    chance = 100 * run.tables["lookups"]["chance"].mean()
    return rows.assign(hit=100 * rows["hit"], mass=100 * rows["mass"], chance=chance)


def by_hits(run: Result) -> pd.DataFrame:
    """Answers of questions whose block few layers fetch, and many."""
    import pandas as pd

    rows = run.tables["lookups"]
    middle = rows["hits"].median()
    parts = {"few layers fetch it": rows[rows["hits"] <= middle],
             "many layers fetch it": rows[rows["hits"] > middle]}  # fmt: skip
    return pd.DataFrame([
        {"case": name, "answered": part["exact"].mean(), "n": len(part)}
        for name, part in parts.items() if len(part)
    ])  # fmt: skip


def episode_hits(run: Result) -> pd.DataFrame:
    rows = run.tables["episodes"]
    wide = rows.pivot_table(index="boundaries", columns="retrieval", values="hits", sort=False)
    return wide.reset_index().assign(n=int(rows["n"].max()))


def past(run: Result) -> pd.DataFrame:
    return run.tables["past"]


def _best(run: Result) -> list[str]:
    finding = run.findings.get("quarter")
    if finding is None or " keeps most" not in finding.says:
        return []
    return [finding.says.partition(" keeps most")[0].rpartition(", ")[2]]


CHOICES = {"the policy that keeps most at a quarter": _best}
"""What a run chooses, by what a person calls it; counted over seeds."""
