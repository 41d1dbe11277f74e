"""What a run says, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.statistics import difference
from analyses.modules.ffn_map.ablation import TOP
from analyses.modules.ffn_map.constants import FEWEST
from analyses.modules.ffn_map.sparsity import ALL, RANDOM, SMALLEST
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from analyses.measures.capability_scores import CapabilityScores
    from analyses.modules.ffn_map.ablation import Ablation
    from analyses.modules.ffn_map.choosing import NeuronTable
    from workbench.result import Result

DISSOCIATES, PART, NOT_SHOWN = ("dissociates", "in part", "not shown")


def verdict(row: pd.Series) -> str:
    """Whether a capability's own neurons are its own: without them it loses more than the others
    do, more than without the others' neurons, and this more than with matched neurons.
    """
    told = [row[f"{name}_low"] > 0 for name in ("column", "row", "beyond")]
    return DISSOCIATES if all(told) else PART if any(told) else NOT_SHOWN


def add_map(result: Result, neurons: NeuronTable) -> None:
    """How many neurons tell a capability better than chance."""
    table = result.tables["capabilities"]
    n = len(neurons.layer)
    any_above = int(neurons.above.any(1).sum())
    ordered = table.sort_values("above", ascending=False)
    most, least = ordered.iloc[0], ordered.iloc[-1]
    says = (
        f"{any_above:,} of {n:,} neurons ({percent(any_above / n)}) tell some capability better"
        f" than the best of all neurons would by chance (average precision"
        f" {float(np.max(neurons.threshold)):.2f}): most for {most['capability']}"
        f" ({most['above']:,}), fewest for {least['capability']} ({least['above']:,})."
    )
    result.add(Finding("map", {"neurons": any_above, "share": any_above / n}, says, "neurons"))
    always = int(neurons.always.sum())
    says = (
        f"{counted(always, 'neuron') if always else 'No neuron'}"
        f" {'are' if always > 1 else 'is'} among the most active 1 % for every capability"
        f"{', and taken out of all sets' if always else ''}."
    )
    result.add(Finding("always", float(always), says, "neurons"))


def add_unmapped(result: Result, layers: int, mapped: int) -> None:
    """Layers whose neurons do not pass by alone, where a model has some."""
    if mapped == layers:
        return
    says = (
        f"{layers - mapped} of {counted(layers, 'layer')} are not mapped: they have no plain or"
        " gated feed-forward layer (a mixture of experts multiplies its matrices in one kernel)."
    )
    result.add(Finding("unmapped", float(layers - mapped), says, "layers"))


def add_twin(result: Result, above: int, neurons: int) -> None:
    """What words alone give."""
    trained = result.findings["map"].values["neurons"]
    what = (
        "a network that knows nothing hears that the words differ, so the map alone shows no"
        " ability"
        if above
        else "what single neurons tell here was learned"
    )
    says = (
        f"In the same network before training {above:,} of {neurons:,} neurons tell a capability"
        f" better than chance (trained: {trained:,.0f}): {what}."
    )
    result.add(Finding("untrained", float(above), says, "neurons"))


def add_selectivity(result: Result, first: int) -> None:
    """How selective each ablation is, at the first size; which capabilities dissociate."""
    table = result.tables["selectivity"]
    if table.empty:
        says = "No neuron tells any capability better than chance, so nothing was ablated."
        result.add(Finding("dissociation", 0.0, says, "capabilities"))
        return
    rows = table[table["k"] == first]
    left_out = [
        name for name in result.tables["capabilities"]["capability"]
        if name not in set(rows["capability"])
    ]  # fmt: skip
    for number, row in enumerate(rows.to_dict("records")):
        _add_one(result, f"selective_{number}", row)
    _add_matched(result, rows)
    clear = rows[rows["verdict"] == DISSOCIATES]
    ordered = rows.sort_values(["beyond_low", "column_low"], ascending=False)
    top = ordered[ordered["capability"].isin(clear["capability"])] if len(clear) else ordered
    _add_one(result, "clearest", top.iloc[0].to_dict())
    said = [f"{len(clear)} of {counted(len(rows), 'capability')} dissociate"]
    said[0] += f": {', '.join(clear['capability'])}." if len(clear) else "."
    for word, phrase in ((PART, "In part"), (NOT_SHOWN, "Not shown to")):
        names = rows.loc[rows["verdict"] == word, "capability"]
        if len(names):
            said.append(f"{phrase}: {', '.join(names)}.")
    if left_out:
        said.append(f"No neuron tells {', '.join(left_out)} better than chance.")
    if rows["n"].min() < FEWEST:
        said.append(f"With {rows['n'].min()} held-out prompts each, intervals are wide.")
    result.add(Finding("dissociation", float(len(clear)), " ".join(said), "capabilities"))


def _add_matched(result: Result, rows: pd.DataFrame) -> None:
    """The control: what a set and its matched neurons cost, over all capabilities."""
    names = ("own", "others", "control", "control_others")
    mean = {name: float(rows[name].mean()) for name in names}
    if mean["control"] != mean["control"]:
        return
    less = int((rows["beyond_low"] > 0).sum())
    says = (
        f"Over all capabilities, their neurons cost {_nats(mean['own'])} nats per token of their"
        f" own answers and {_nats(mean['others'])} of the others'; matched neurons of the same"
        f" layers and contribution {_nats(mean['control'])} and {_nats(mean['control_others'])}."
        f" They are shown to be less selective for {less} of"
        f" {counted(len(rows), 'capability')}."
    )
    result.add(Finding("matched", mean, says, "nats per token"))


_VALUES = ("own", "others", "control", "control_others", "column", "beyond")


def _add_one(result: Result, name: str, row: Mapping[Any, Any]) -> None:
    what, n = row["capability"], row["neurons"]
    matched = (
        f"; {n} matched neurons cost them {_nats(row['control'])} and"
        f" {_nats(row['control_others'])}"
        if row["control"] == row["control"]
        else ""
    )
    tail = "" if row["verdict"] == DISSOCIATES else f" It {_words(str(row['verdict']))}."
    says = (
        f"Ablating the {n} neurons of {what} costs {what} {_nats(row['own'])} nats per token of the"
        f" answer and the other capabilities {_nats(row['others'])}{matched}.{tail}"
    )
    values = {key: float(row[key]) for key in _VALUES if row[key] == row[key]}
    spread = {
        key: (float(row[f"{key}_low"]), float(row[f"{key}_high"]))
        for key in ("own", "column", "beyond")
        if row[f"{key}_low"] == row[f"{key}_low"]
    }
    result.add(Finding(name, values, says, "nats per token", spread))


def _nats(value: float) -> str:
    """With two decimals; what rounds to nothing has no sign."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _words(word: str) -> str:
    return "dissociates in part" if word == PART else "is not shown to dissociate"


def add_pairs(
    result: Result,
    ablations: Sequence[Ablation],
    base: CapabilityScores,
    owner: np.ndarray,
    first: int,
) -> None:
    """Pairs of capabilities each of which loses more by its own neurons than the other does."""
    rises = {a.of: a.scores.loss - base.loss for a in ablations if (a.k, a.kind) == (first, TOP)}
    if len(rises) < 2:
        return
    double, pairs = [], list(combinations(rises, 2))
    for one, other in pairs:
        told = [
            difference(rises[own][owner == own], rises[own][owner == else_])[1][0] > 0
            for own, else_ in ((one, other), (other, one))
        ]
        if all(told):
            double.append((one, other))
    says = (
        f"{len(double)} of {counted(len(pairs), 'pair')} of capabilities dissociate doubly: each"
        " loses more without its own neurons than the other does without them."
    )
    result.add(Finding("pairs", {"value": len(double), "of": len(pairs)}, says, "pairs"))


def add_sparsity(result: Result) -> None:
    """The largest share of which masking the smallest costs little."""
    table = result.tables["sparsity"]
    rows = table[(table["capability"] == ALL) & (table["share"] > 0)]
    if rows.empty:
        return
    small = rows[rows["masked"] == SMALLEST].set_index("share")["rise"]
    random = rows[rows["masked"] == RANDOM].set_index("share")["rise"]
    said = ", ".join(
        f"{percent(share)} costs {_nats(small[share])} (random ones {_nats(random[share])})"
        for share in small.index
    )
    says = f"Masking the smallest activations in all layers, in nats per token: {said}."
    values = {f"masked_{round(100 * share)}": float(small[share]) for share in small.index}
    result.add(Finding("sparsity", values, says, "nats per token"))


def add_partitions(result: Result) -> None:
    """Whether groups are more than chance, hold on both halves, and are experts."""
    table, experts = result.tables["partitions"], result.tables["experts"]
    above = int((table["modularity"] > table["rewired_high"]).sum())
    said = "; ".join(
        f"layer {row.layer}: modularity {row.modularity:.2f} against {row.rewired:.2f}, agreement"
        f" of the halves {row.agreement:.2f}"
        for row in table.itertuples()
    )
    says = (
        f"In {above} of {counted(len(table), 'layer')} neurons that are active together form groups"
        f" beyond rewired graphs ({said})."
    ).replace("-", "−")
    values = {"modularity": table["modularity"].mean(), "rewired": table["rewired"].mean(),
              "agreement": table["agreement"].mean()}  # fmt: skip
    result.add(Finding("partitions", {k: float(v) for k, v in values.items()}, says))
    each = experts.groupby(["layer", "capability"])
    share, random = float(each["expert"].any().mean()), float(each["random"].first().mean())
    says = (
        f"In {percent(share)} of layers and capabilities some group holds more of the capability's"
        f" best neurons than its size gives, in random groupings {percent(random)}."
    )
    result.add(Finding("experts", {"value": share, "random": random}, says))
