"""What a run says of the maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.statistics import mean_interval
from analyses.weights.fact_tracing.constants import ATTENTION, FEWEST, LAST, MLP, NOISE, SUBJECT
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from analyses.weights.fact_tracing.fact_sites import FactSite
    from analyses.weights.fact_tracing.maps import Maps
    from analyses.weights.fact_tracing.traced_facts import Chosen
    from workbench.result import Result

_TITLES = {
    "early": "Early site: MLPs at the last subject token",
    "late": "Late site: attention at the last token",
    "early state": "Early site: the state of the last subject token",
}
KEYS = {"early": "early_site", "late": "late_site", "early state": "early_state"}


def add_known(result: Result, chosen: Chosen, name: str) -> None:
    """How many facts there are."""
    several = sum(fact.subject_tokens > 1 for fact in chosen.facts)
    says = (
        f"{name} gives the whole answer to {chosen.known} of {counted(chosen.asked, 'fact')} asked"
        f" closed-book; {len(chosen.facts)} are traced, {several} of them with a subject of several"
        " tokens."
    )
    if len(chosen.facts) < FEWEST:
        says += f" Claims about the model need {FEWEST} facts; of fewer the maps alone are shown."
    result.add(Finding("known", float(len(chosen.facts)), says, unit="facts"))


def add_total(result: Result, maps: Maps, corruption: str) -> None:
    """What corrupting the subject takes away."""
    total, interval = mean_interval(maps.total)
    how = "With noise on the subject" if corruption == NOISE else "With another subject"
    says = (
        f"{how} the answer's probability falls from {percent(float(maps.clean.mean()))} to"
        f" {percent(float(maps.corrupted.mean()))} (total effect, {_facts(maps)})."
    )
    key = "total_effect" if corruption == NOISE else "total_effect_resampled"
    spread = None if np.isnan(interval[0]) else {"lost": interval}
    values = {"lost": total, "clean": float(maps.clean.mean())}
    values["corrupted"] = float(maps.corrupted.mean())
    result.add(Finding(key, values, says, unit="probability", interval=spread))


def _facts(maps: Maps) -> str:
    return counted(len(maps.facts), "fact")


def add_peaks(result: Result, table: pd.DataFrame) -> None:
    """Where the largest effects are, by kind."""
    for kind, rows in table[table["corruption"] == NOISE].groupby("kind", sort=False):
        real = rows[rows["tokens"].isin([SUBJECT, LAST])]
        if kind not in (MLP, ATTENTION) or real.empty:
            continue
        top = real.loc[real["effect"].idxmax()]
        says = (
            f"Restoring {_of_kind(str(kind))} gives most back around layer {top['layer']} at the"
            f" {top['tokens']}: {100 * top['effect']:.1f} points of probability,"
            f" {percent(top['share'])} of what was lost ({int(top['n'])} facts)."
        )
        name = f"peak_{str(kind).lower()}"
        spread = None if np.isnan(top["low"]) else (float(top["low"]), float(top["high"]))
        result.add(Finding(name, float(top["effect"]), says, unit="probability", interval=spread))


def _of_kind(kind: str) -> str:
    return "what MLPs write" if kind == MLP else "what attention writes"


def add_sites(result: Result, sites: Sequence[FactSite]) -> None:
    """Whether there is an early and a late site, each against permuted tokens."""
    for site in sites:
        where = " and ".join(str(layer) for layer in dict.fromkeys(site.layers))
        verdict = {
            True: "is there",
            False: "is not there: no more than permuted tokens give",
            None: "cannot be told from permuted tokens",
        }[site.is_there]
        says = (
            f"{_TITLES[site.name]}: it {verdict}. Around layer {where} the {site.tokens} gives back"
            f" {100 * site.contrast:.1f} points more than the fact's other tokens (95 %:"
            f" {100 * site.low:.1f} to {100 * site.high:.1f}; permuted tokens"
            f" {100 * site.null[0]:.1f} to {100 * site.null[1]:.1f}; {site.n} facts, the layer"
            " chosen on the other half of them)."
        )
        values = {"contrast": site.contrast, "effect": site.effect, "null_high": site.null[1]}
        spread = {"contrast": (site.low, site.high)}
        result.add(
            Finding(
                KEYS[site.name], values, says.replace("-", "−"), unit="probability", interval=spread
            )
        )


def add_no_site(result: Result, name: str, why: str) -> None:
    """That nothing can be said of a site, and why."""
    result.add(Finding(KEYS[name], float("nan"), f"{_TITLES[name]}: cannot be told, {why}."))


def add_severed(result: Result, table: pd.DataFrame) -> None:
    """What of the early states goes through MLPs and what through attention, and the table."""
    rows = table[(table["tokens"] == SUBJECT) & (table["corruption"] == NOISE)]
    rows = rows[rows["kind"].str.startswith("state")]
    result.tables["severed"] = rows.drop(columns=["corruption", "tokens"]).reset_index(drop=True)
    frame = rows.pivot(index="layer", columns="kind", values="effect")
    early = frame[(frame.index > 0) & (frame.index < (frame.index.max() + 1) / 2)]
    if early.empty or float(early["state"].mean()) <= 0:
        return
    kept = {
        name: float(early[f"state, no {name}"].mean() / early["state"].mean())
        for name in ("MLPs", "attention")
    }
    says = (
        "In the lower half of the layers a restored state of the last subject token keeps"
        f" {percent(kept['MLPs'])} of its effect without the later MLPs at that token, and"
        f" {percent(kept['attention'])} without the later attention there: the less is kept, the"
        " more goes that way."
    )
    values = {"no_mlps": kept["MLPs"], "no_attention": kept["attention"]}
    result.add(Finding("severed", values, says, unit="share of the effect"))
