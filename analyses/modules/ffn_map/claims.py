"""What of the papers on capabilities in feed-forward layers holds here, claim by claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.claims import (
    FAILS,
    NOT_MEASURED,
    OPEN,
    PART,
    REPLICATES,
    Claim,
    Measured,
    say_claims,
    verdict_of,
)
from analyses.measures.statistics import sign, wilson
from analyses.modules.ffn_map.constants import FEWEST
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

PAPER = "Xiao et al. 2024, Zhang et al. 2022 and Zhang et al. 2023"
ABOUT = (
    "The claims of three papers on models of 7 to 8 billion parameters, on T5 and on BERT, and what"
    " this run measured of each on its own model and prompts. A claim that fails here may hold for"
    f" a larger model, and the other way round. Under {FEWEST} held-out prompts no ablation is"
    " judged."
)
_HIGH = 0.8
_SHARE = 0.7
_LITTLE = 0.1
"""Nats per token that count as almost nothing: a tenth of the likelihood of each token."""
_CLEAR = ("code", "arithmetic", "translation")
_PROMPTS = "95 % over prompts"


def _single(result: Result) -> Measured:
    array = result.arrays["precision"]
    names = [name for name in array["capability"].values.tolist() if name in _CLEAR]
    if not names:
        return Measured("not measured", OPEN, "none of these capabilities was asked for")
    best = array.astype("float32").sel(capability=names).max("neuron").mean("capability")
    layers = int((best > _HIGH).sum())
    low, high = wilson(layers, best.sizes["layer"])
    return Measured(
        f"{layers} of {counted(best.sizes['layer'], 'layer')}, mean of {', '.join(names)}",
        verdict_of([sign(low, high, 0.5)]),
        f"95 % over layers: {percent(low)} to {percent(high)}",
    )


def _mean_at_chance(result: Result) -> Measured:
    table, layers = result.tables["capabilities"], result.tables["layers"]
    mean = float(layers["mean"].mean())
    chance = float(table["chance"].mean())
    threshold = float(table["threshold"].mean())
    return Measured(
        f"mean {mean:.2f}, chance {chance:.2f}, best {table['best'].mean():.2f}",
        REPLICATES if mean < threshold else FAILS,
        f"below {threshold:.2f}, the best that dealt labels give",
    )


def _first(result: Result) -> pd.DataFrame:
    table = result.tables["selectivity"]
    return table[table["k"] == table["k"].iloc[0]] if len(table) else table


def _specific(result: Result) -> Measured:
    rows = _first(result)
    rows = rows[rows["capability"].isin(_CLEAR)] if len(rows) else rows
    if rows.empty or rows["n"].min() < FEWEST:
        return Measured("not measured", OPEN, "too few prompts of code, arithmetic, translation")
    told = [sign(row.column_low, row.column_high) for row in rows.itertuples()]
    said = ", ".join(f"{row.capability} {row.column:+.2f}" for row in rows.itertuples())
    return Measured(f"own less others, nats: {said}".replace("-", "−"), verdict_of(told), _PROMPTS)


def _knowledge(result: Result) -> Measured:
    rows = _first(result)
    rows = rows[rows["capability"] == "facts"] if len(rows) else rows
    if rows.empty or rows["n"].min() < FEWEST:
        return Measured("not measured", OPEN, "too few prompts of facts")
    row = rows.iloc[0]
    told = sign(row["column_low"], row["column_high"])
    # What is claimed is that the others lose as much.
    verdict = FAILS if told is True else OPEN if told is None else REPLICATES
    return Measured(
        f"facts lose {row['own']:.2f}, the others {row['others']:.2f}".replace("-", "−"),
        verdict,
        f"{_PROMPTS}: {row['column_low']:.2f} to {row['column_high']:.2f}".replace("-", "−"),
    )


def _beyond(result: Result) -> Measured:
    rows = _first(result)
    rows = rows[rows["beyond"].notna()] if len(rows) else rows
    if rows.empty or rows["n"].min() < FEWEST:
        return Measured("not measured", OPEN, "too few prompts or no matched neurons")
    told = [sign(row.beyond_low, row.beyond_high) for row in rows.itertuples()]
    n = sum(one is True for one in told)
    return Measured(f"{n} of {len(told)} capabilities", verdict_of(told), _PROMPTS)


def _sparse(result: Result) -> Measured:
    table = result.tables["sparsity"]
    rows = table[(table["share"] == _SHARE) & (table["capability"] == "all capabilities")]
    if rows.empty:
        return Measured("not measured", OPEN, "70 % was not among the shares")
    by = rows.set_index("masked")
    small, random = by.loc["smallest"], by.loc["random"]
    told = sign(float(small["low"]), float(small["high"]), _LITTLE)
    little = REPLICATES if told is False else OPEN if told is None else PART
    verdict = FAILS if small["rise"] >= random["rise"] else little
    return Measured(
        f"{small['rise']:.2f} nats, random ones {random['rise']:.2f}".replace("-", "−"),
        verdict,
        f"95 % over capabilities: {small['low']:.2f} to {small['high']:.2f}; almost nothing is"
        f" below {_LITTLE}".replace("-", "−"),
    )


def _modular(result: Result) -> Measured:
    table = result.tables["partitions"]
    if table.empty:
        return NOT_MEASURED
    told = [bool(row.modularity > row.rewired_high) for row in table.itertuples()]
    return Measured(
        f"{table['modularity'].mean():.2f} against {table['rewired'].mean():.2f}; the halves agree"
        f" by {table['agreement'].mean():.2f}",
        verdict_of(told),
        f"above every rewired graph in {sum(told)} of {counted(len(told), 'layer')}",
    )


def _experts(result: Result) -> Measured:
    each = result.tables["experts"].groupby(["layer", "capability"])
    hits, n = int(each["expert"].any().sum()), len(each)
    random = float(each["random"].first().mean())
    low, high = wilson(hits, n)
    return Measured(
        f"{percent(hits / n)} of layers and capabilities, random groups {percent(random)}",
        verdict_of([sign(low, high, random)]),
        f"95 %: {percent(low)} to {percent(high)}",
    )


_GROUPS = ("What single neurons tell", "What is lost without them", "How they lie together")
CLAIMS = [
    Claim(
        "Code, arithmetic and translation are told by single neurons (average precision above 0.8)",
        "Llama-3-8B, Mistral-7B: in most layers (Xiao et al. 2024)", _single, _GROUPS[0],
        "capabilities",
    ),
    Claim(
        "The average neuron tells nothing",
        "the mean is at the random baseline (Xiao et al. 2024)", _mean_at_chance, _GROUPS[0],
        "capabilities",
    ),
    Claim(
        "Without their neurons, code, arithmetic and translation lose more than other capabilities",
        "perplexity +112, +147 and +444 %, elsewhere less (Xiao et al. 2024)", _specific,
        _GROUPS[1], "selectivity",
    ),
    Claim(
        "Without the neurons of facts, all capabilities lose as much",
        "+67 to +296 % everywhere, Llama-3-8B (Xiao et al. 2024)", _knowledge, _GROUPS[1],
        "selectivity",
    ),
    Claim(
        "Other neurons of the same layers and contribution are less selective",
        "chosen neurons cost more than random ones (Zhang et al. 2023)", _beyond, _GROUPS[1],
        "selectivity",
    ),
    Claim(
        "Masking the smallest 70 % of activations costs almost nothing",
        "perplexity hardly rises (Xiao et al. 2024)", _sparse, _GROUPS[1], "sparsity",
    ),
    Claim(
        "Neurons that are active together form groups",
        "groups of co-activation make experts, T5 (MoEfication, Zhang et al. 2022)", _modular,
        _GROUPS[2], "partitions",
    ),
    Claim(
        "Capabilities keep to few groups",
        "functional experts, T5 and BERT (Zhang et al. 2023)", _experts, _GROUPS[2], "experts",
    ),
]  # fmt: skip


def add_claims(result: Result) -> None:
    """The table `claims`, and how many hold."""
    say_claims(result, CLAIMS, PAPER)
