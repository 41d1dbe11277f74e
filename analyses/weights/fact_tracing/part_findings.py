"""What a run says of knockout, extraction, enrichment, wordings and editing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.statistics import mean_interval, paired_gain, wilson
from analyses.weights.fact_tracing.constants import FEWEST, RANDOM, SPANS, TOP
from analyses.weights.fact_tracing.extraction import NEAR
from analyses.weights.fact_tracing.knockout import centre_of
from workbench.result import Finding
from workbench.wording import percent

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

MIXER = ("attention", "recurrent layer")


def add_knockout(result: Result, change: np.ndarray, layers: Sequence[int]) -> None:
    """Which span hurts most, and in which order subject and relation are read."""
    table = result.tables["knockout"]
    worst = table.loc[table.groupby("span", sort=False)["change"].idxmin()].set_index("span")
    names = [name for name in ("subject", "relation", RANDOM) if name in worst.index]
    said = "; ".join(
        f"{name} {100 * worst.loc[name, 'change']:+.0f} % at layer {worst.loc[name, 'layer']}"
        for name in names
    )
    says = (
        "If the last token does not see a span in a window of layers, the answer's probability"
        f" changes at most by: {said} (as many random tokens are the baseline)."
    )
    values = {name.replace(" ", "_"): float(worst.loc[name, "change"]) for name in names}
    spread = {
        name.replace(" ", "_"): (float(worst.loc[name, "low"]), float(worst.loc[name, "high"]))
        for name in names
        if worst.loc[name, "low"] == worst.loc[name, "low"]
    }
    result.add(
        Finding(
            "knockout",
            values,
            says.replace("-", "−"),
            unit="relative change",
            interval=spread or None,
        )
    )
    centres = {
        name: centre_of(change[:, SPANS.index(name)], layers) for name in ("subject", "relation")
    }
    later = centres["subject"] - centres["relation"]
    later = later[~np.isnan(later)]
    if len(later) < 2:
        return
    mean, (low, high) = mean_interval(later)
    rng = np.random.default_rng(0)
    null = float(
        np.percentile(np.mean(later * rng.choice([-1, 1], (2000, len(later))), axis=1), 97.5)
    )
    says = (
        f"What blocking takes away lies around layer {np.nanmean(centres['relation']):.1f} for the"
        f" relation and {np.nanmean(centres['subject']):.1f} for the subject: the subject is read"
        f" {abs(mean):.1f} layers {'later' if mean > 0 else 'earlier'} (95 %: {low:.1f} to"
        f" {high:.1f}, {len(later)} facts; with the two names exchanged at random up to"
        f" {null:.1f})."
    )
    values = {"later": mean, "null_high": null, "n": float(len(later))}
    result.add(
        Finding(
            "order", values, says.replace("-", "−"), unit="layers", interval={"later": (low, high)}
        )
    )


def add_events(result: Result, rows: pd.DataFrame, norm: str) -> None:
    """How many facts are extracted by attention and by MLPs, beside another fact's answer."""
    any_of = rows.groupby(["fact", "part"])[["event", "other"]].any().reset_index()
    shares = {part: any_of[any_of["part"] == part] for part in rows["part"].unique()}
    said, values, spread = [], {}, {}
    for part, each in shares.items():
        hits, n = int(each["event"].sum()), len(each)
        key = str(part).replace(" ", "_")
        values[key], spread[key] = hits / n, wilson(hits, n)
        values[f"{key}_null"] = float(each["other"].mean())
        said.append(
            f"{part} of some layer for {percent(hits / n)} (another fact's answer:"
            f" {percent(float(each['other'].mean()))})"
        )
    how = "through the final norm" if norm == "final" else "without the final norm"
    says = (
        "At the last token the answer is the likeliest token of what is written by"
        f" {', by '.join(said)} ({len(next(iter(shares.values())))} facts, {how})."
    )
    result.add(Finding("extraction", values, says, unit="share of facts", interval=spread))
    mixer = next((part for part in MIXER if part in shares), None)
    if mixer is None or "MLP" not in shares:
        return
    gains = shares[mixer]["event"].to_numpy(int) - shares["MLP"]["event"].to_numpy(int)
    gain, interval = paired_gain(gains)
    says = (
        f"{mixer.capitalize()} extracts the answer of {100 * abs(gain):.0f} points"
        f" {'more' if gain >= 0 else 'fewer'} facts than MLPs do (95 %: {100 * interval[0]:.0f} to"
        f" {100 * interval[1]:.0f})."
    )
    result.add(
        Finding(
            "extracted_by", gain, says.replace("-", "−"), unit="share of facts", interval=interval
        )
    )


def add_heads(result: Result) -> None:
    """The head that was chosen on one half, on the other."""
    table = result.tables["heads"]
    best = table.sort_values(["chosen", "rank"], ascending=[False, True]).iloc[0]
    says = (
        f"Of all heads {best['label']} puts the answer among the {NEAR} likeliest tokens of what it"
        f" writes most often on one half of the facts ({percent(best['chosen'])}); on the other"
        f" half it does so for {percent(best['rate'])} (95 %: {percent(best['low'])} to"
        f" {percent(best['high'])}, {int(best['n'])} facts), and for another fact's answer"
        f" {percent(best['other'])}; the median head {percent(float(table['rate'].median()))}."
    )
    values = {
        "rate": float(best["rate"]),
        "other": float(best["other"]),
        "median_head": float(table["rate"].median()),
    }
    result.add(
        Finding(
            "head",
            values,
            says,
            unit="share of facts",
            interval={"rate": (float(best["low"]), float(best["high"]))},
        )
    )


def add_enrichment(result: Result) -> None:
    """In which layer most of a subject's attributes can be read."""
    table = result.tables["enrichment"]
    top, first = table.loc[table["rate"].idxmax()], table.iloc[0]
    says = (
        f"Of what is true of a subject, {percent(top['rate'])} is among the {TOP} likeliest tokens"
        f" of its last token's state behind layer {int(top['layer'])} (95 %: {percent(top['low'])}"
        f" to {percent(top['high'])}, {int(top['n'])} facts), {percent(first['rate'])} behind the"
        f" first layer; of what is true of another subject {percent(top['other'])}, of random"
        f" tokens {percent(top['random'])}."
    )
    values = {
        "rate": float(top["rate"]),
        "first": float(first["rate"]),
        "other": float(top["other"]),
        "random": float(top["random"]),
    }
    result.add(
        Finding(
            "enrichment",
            values,
            says,
            unit="share of attributes",
            interval={"rate": (float(top["low"]), float(top["high"]))},
        )
    )


def add_shared(result: Result, by: str, counts: Mapping[str, int]) -> None:
    """How alike maps of other wordings, or languages, are."""
    table = result.tables["shared"]
    rows = table[(table["by"] == by) & (table["kind"] == "state")]
    known = ", ".join(f"{name} {count}" for name, count in counts.items())
    name = f"shared_{by}"
    if rows.empty:
        says = (
            f"Whether {by}s share their places cannot be told: facts known by {by} are {known}, and"
            f" two of them need {FEWEST} each."
        )
        result.add(Finding(name, float("nan"), says, unit="correlation"))
        return
    least = rows.loc[rows["r"].idxmin()]
    says = (
        f"Maps of states in {len(rows)} pairs of {by}s correlate by {rows['r'].median():.2f} in the"
        f" median, the least alike ({least['one']}, {least['other']}) by {least['r']:.2f} (95 %:"
        f" {least['low']:.2f} to {least['high']:.2f}; permuted tokens {least['null_low']:.2f} to"
        f" {least['null_high']:.2f}). Facts known: {known}."
    )
    if by == "language":
        few = [code for code, count in counts.items() if count < 20]
        if few:
            says += f" Fewer than 20 are known in {', '.join(few)}: of those little can be told."
    values = {"median": float(rows["r"].median()), "least": float(least["r"])}
    result.add(
        Finding(
            name,
            values,
            says.replace("-", "−"),
            unit="correlation",
            interval={"least": (float(least["low"]), float(least["high"]))},
        )
    )


def add_editing(result: Result, found: Mapping[str, tuple[float, tuple[float, float]]]) -> None:
    """Whether tracing tells the layer to edit."""
    r, (low, high) = found["correlation"]
    gain, layer, null = found["gain"][0], found["layer"][0], found["null"][1][1]
    rows = result.tables["edits"]
    best = rows.groupby("layer")["new"].mean()
    says = (
        f"The layer alone explains {percent(layer)} of how well an edit holds; with the trace of"
        f" the fact there it is {100 * gain:.1f} points more (traces of other facts: up to"
        f" {100 * null:.1f}). Trace and success correlate by {r:.2f} (95 % over"
        f" {rows['fact'].nunique()} facts: {low:.2f} to {high:.2f}). Edits hold best at layer"
        f" {best.idxmax()}."
    )
    values = {"correlation": r, "r_squared": layer, "gain": gain, "null_high": null}
    result.add(
        Finding(
            "best_layer",
            values,
            says.replace("-", "−"),
            unit="correlation, R²",
            interval={"correlation": (low, high), "gain": found["gain"][1]},
        )
    )
