"""What a run says of the maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.statistics import mean_interval
from analyses.weights.fact_tracing.constants import (
    ATTENTION,
    DRAWS,
    FEWEST,
    LAST,
    LEAST,
    MLP,
    NOISE,
    SEVERED,
    STATE,
    SUBJECT,
)
from analyses.weights.fact_tracing.fact_sites import ABOVE, EARLY, EARLY_STATE, LATE
from analyses.weights.fact_tracing.maps import by_class
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from analyses.weights.fact_tracing.fact_sites import FactSite
    from analyses.weights.fact_tracing.maps import Maps
    from analyses.weights.fact_tracing.traced_facts import Chosen, TracedFact
    from workbench.result import Result

_PLACES = {
    EARLY: ("MLPs at the subject's last token", "early site"),
    ABOVE: ("MLPs above the first layer, at the subject's last token,", "early site"),
    LATE: ("{} at the last token", "late site"),
    EARLY_STATE: ("states of the last token of subjects of several tokens", "early site"),
}
KEYS = {
    EARLY: "early_site",
    ABOVE: "early_above",
    LATE: "late_site",
    EARLY_STATE: "early_state",
}


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
        f"{how} the answer's probability goes from {percent(float(maps.clean.mean()))} to"
        f" {percent(float(maps.corrupted.mean()))} (total effect, {_facts(maps)})."
    )
    key = "total_effect" if corruption == NOISE else "total_effect_resampled"
    spread = None if np.isnan(interval[0]) else {"lost": interval}
    values = {"lost": total, "clean": float(maps.clean.mean())}
    values["corrupted"] = float(maps.corrupted.mean())
    result.add(Finding(key, values, says, unit="probability", interval=spread))


def _facts(maps: Maps) -> str:
    return counted(len(maps.facts), "fact")


def add_peaks(result: Result, table: pd.DataFrame, mixer: str) -> None:
    """Where the largest effects are, by kind; `mixer` is what moves things between tokens."""
    for kind, rows in table[table["corruption"] == NOISE].groupby("kind", sort=False):
        real = rows[rows["tokens"].isin([SUBJECT, LAST])]
        if kind not in (MLP, ATTENTION) or real.empty:
            continue
        top = real.loc[real["effect"].idxmax()]
        what = "what MLPs write" if kind == MLP else _written(mixer)
        says = (
            f"Restoring {what} gives most back around layer {top['layer']} at the"
            f" {top['tokens']}: {100 * top['effect']:.1f} points of probability,"
            f" {percent(top['share'])} of what was lost ({int(top['n'])} facts)."
        )
        name = f"peak_{str(kind).lower()}"
        spread = None if np.isnan(top["low"]) else (float(top["low"]), float(top["high"]))
        result.add(Finding(name, float(top["effect"]), says, unit="probability", interval=spread))


def _written(mixer: str) -> str:
    return f"what {mixer} {'writes' if mixer == 'attention' else 'write'}"


def add_sites(result: Result, sites: Sequence[FactSite], mixer: str) -> None:
    """Whether there is an early and a late site, each against permuted tokens."""
    for site in sites:
        where = " and ".join(str(layer) for layer in dict.fromkeys(site.layers))
        place, called = _PLACES[site.name]
        place = place.format(mixer)
        one = site.name == LATE and mixer == "attention"
        verb, gives = ("carries", "it gives") if one else ("carry", "they give")
        begins = place[0].upper() + place[1:]
        verdict = {
            True: f"{begins} {verb} the fact ({called})",
            False: f"{begins} {verb} no more of the fact than permuted tokens (no {called})",
            None: f"Whether {place} {verb} the fact ({called}) cannot be told",
        }[site.is_there]
        says = (
            f"{verdict}: restored around layer {where}, {gives} back"
            f" {100 * site.contrast:.1f} points of probability more than the fact's other tokens"
            f" (95 %: {100 * site.low:.1f} to {100 * site.high:.1f}; permuted tokens"
            f" {100 * site.null[0]:.1f} to {100 * site.null[1]:.1f}; {site.n} facts, the layer"
            " chosen on the other half)."
        )
        values = {"contrast": site.contrast, "effect": site.effect, "null_high": site.null[1]}
        spread = {"contrast": (site.low, site.high)}
        result.add(
            Finding(
                KEYS[site.name], values, says.replace("-", "−"), unit="probability", interval=spread
            )
        )


def add_severed(
    result: Result, table: pd.DataFrame, maps: Maps, facts: Sequence[TracedFact], seed: int
) -> None:
    """What of the early states goes through MLPs and what through attention, and the table."""
    rows = table[(table["tokens"] == SUBJECT) & (table["corruption"] == NOISE)]
    rows = rows[rows["kind"].str.startswith("state")]
    result.tables["severed"] = rows.drop(columns=["corruption", "tokens"]).reset_index(drop=True)
    layers = np.array(maps.layers[STATE])
    early = (layers > 0) & (layers < (layers.max() + 1) / 2)
    per_fact = {
        kind: by_class(maps, facts, kind)[SUBJECT][:, early].sum(1)
        for kind in (STATE, *SEVERED.values())
    }
    if per_fact[STATE].sum() <= 0:
        return
    rng, n = np.random.default_rng(seed), len(maps.facts)
    draws = rng.integers(n, size=(DRAWS, n))
    kept, spread = {}, {}
    for name, kind in SEVERED.items():
        kept[name] = float(per_fact[kind].sum() / per_fact[STATE].sum())
        again = per_fact[kind][draws].sum(1) / per_fact[STATE][draws].sum(1)
        low, high = np.percentile(again, [2.5, 97.5])
        spread[name] = (float(low), float(high))

    def words(name: str) -> str:
        low, high = spread[name]
        return f"{percent(kept[name])} (95 %: {percent(low)} to {percent(high)})"

    says = (
        "In the lower half of the layers a restored state of the last subject token keeps"
        f" {words('no_mlps')} of its effect without the later MLPs at that token, and"
        f" {words('no_attention')} without the later attention there ({n} facts): the less is"
        " kept, the more goes that way."
    )
    result.add(
        Finding(
            "severed",
            kept,
            says.replace("-", "−"),
            unit="share of the effect",
            interval=spread if n >= LEAST else None,
        )
    )
