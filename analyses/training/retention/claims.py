"""What of the papers on acquiring and losing memories holds here, claim by claim."""

from __future__ import annotations

import math
from collections.abc import Callable
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
from analyses.measures.statistics import sign
from analyses.training.retention import lab_claims
from analyses.training.retention.constants import (
    EARLY_DROP,
    KEPT,
    NOVEL,
    RECALLED,
    RECOGNIZED,
    RESET,
    SOON,
    TELLING_DROP,
    WARMED,
)
from analyses.training.retention.few_shot_findings import dropped, first_above
from analyses.training.retention.findings import begun_anywhere, between, passed
from workbench.wording import percent

if TYPE_CHECKING:
    from workbench.result import Result

PAPER = (
    "Orhan 2023, Chang et al. 2024, Lesci et al. 2024, Biderman et al. 2023, Zhu et al. 2024, Wei"
    " et al. 2025, Zheng et al. 2024 and Hernandez et al. 2022"
)
ABOUT = (
    "The claims of eight papers, and what this run measured of each on its own model. Models of a"
    " few million weights forget faster and recite less than those of the papers."
)
_TEXTS = "95 % over texts"


def _one_reading(result: Result) -> Measured:
    table = result.tables["few_shot"]
    row = table[(table["foil"] == NOVEL) & (table["readings"] == 1)].iloc[0]
    told = sign(row["low"], row["high"], 0.9)
    return Measured(
        f"{percent(row['recognized'])} of pairs",
        REPLICATES if told or row["recognized"] >= 0.95 else FAILS if told is False else PART,
        f"{_TEXTS}: {percent(row['low'])} to {percent(row['high'])}, {int(row['n'])} texts",
    )


def _recall_later(result: Result) -> Measured:
    """Of the kept steps where they are, else live."""
    if "halfway" in result.tables:
        table = result.tables["halfway"]
        told, said = (passed(table, SOON, name) for name in ("recognized", "recalled"))
        if told is None or said is None:
            return NOT_MEASURED
        one, other = (between(row["readings"], row["readings"]) for row in (told, said))
        return Measured(
            f"recognized after {one}, recalled after {other}",
            verdict_of([True if said["low"] > told["high"] else None]),
            f"{_TEXTS}: {between(told['low'], told['high'])} against"
            f" {between(said['low'], said['high'])}",
        )
    if "few_shot" not in result.tables:
        return NOT_MEASURED
    table = result.tables["few_shot"]
    study = table[table["foil"] == NOVEL]
    told_at = first_above(study, "recognized", RECOGNIZED)
    said_at = first_above(study, "recalled", RECALLED)
    row = study[study["readings"] == max(told_at, 0)].iloc[0]
    apart = told_at > 0 and (said_at < 0 or said_at > told_at)
    return Measured(
        f"recognized after {told_at if told_at > 0 else '–'}, recalled after"
        f" {said_at if said_at > 0 else 'more'}",
        verdict_of([True if apart and row["recalled_high"] < row["low"] else None]),
        f"behind {max(told_at, 0)}: recalled {percent(row['recalled_low'])} to"
        f" {percent(row['recalled_high'])}",
    )


def _drop(result: Result) -> Measured:
    later = result.tables["few_later"]
    early = dropped(later, RESET, EARLY_DROP)
    end = dropped(later, RESET, int(later["updates"].max()))
    if not math.isfinite(early) or later["updates"].max() < 5 * EARLY_DROP:
        return Measured("not measured", OPEN, "nothing was recalled, or too few updates")
    if end <= 0.05:
        return Measured("nothing is lost", FAILS, f"{later['updates'].max()} updates")
    share = early / end
    return Measured(
        f"{percent(max(0.0, early))} of the tokens in {EARLY_DROP} updates, {percent(end)} in all",
        REPLICATES if share >= 0.5 else PART if share >= 0.25 else FAILS,
        "one order of texts; other seeds: `--seeds`",
    )


def _optimizer(result: Result) -> Measured:
    later = result.tables["few_later"]
    drops = {name: dropped(later, name, EARLY_DROP) for name in (RESET, WARMED, KEPT)}
    if not all(map(math.isfinite, drops.values())):
        return Measured("not measured", OPEN, "`compared` is 0, or nothing was recalled")
    milder = min(drops[WARMED], drops[KEPT])
    words = ", ".join(f"{name} {percent(max(0.0, drop))}" for name, drop in drops.items())
    if drops[RESET] < TELLING_DROP:
        return Measured(words, OPEN, "there is no early drop to explain")
    return Measured(
        words,
        REPLICATES if milder >= 0.5 * drops[RESET] else FAILS,
        "a drop that a warm-up or kept moments more than halve is the optimizer's",
    )


def _recognition_lasts(result: Result) -> Measured:
    later = result.tables["few_later"]
    rows = later[later["variant"] == RESET].sort_values("updates")
    start, end = rows.iloc[0], rows.iloc[-1]
    if start["recalled"] == 0:
        return Measured("nothing was recalled", OPEN, "read more often")
    told = (end["recognized"] - 0.5) / max(1e-9, start["recognized"] - 0.5)
    said = end["recalled"] / start["recalled"]
    return Measured(
        f"{percent(max(0.0, told))} of recognition above chance is left, {percent(said)} of recall",
        REPLICATES if told > said + 0.05 else FAILS if said > told + 0.05 else OPEN,
        f"{int(end['n'])} texts, {int(end['updates'])} updates",
    )


def _log_time(result: Result) -> Measured:
    laws = result.tables["laws"]
    rows = laws[laws["dose"] == laws["dose"].iloc[0]].set_index("law")
    errors = rows["error"]
    best = errors.idxmin()
    words = ", ".join(f"{name} {percent(error)}" for name, error in errors.items())
    return Measured(
        words,
        {"b − a ln t": REPLICATES, "exponential": FAILS}.get(str(best), PART),
        "error on lags that were left out",
    )


def _constant(result: Result) -> Measured:
    laws = result.tables["laws"]
    row = laws[(laws["dose"] == laws["dose"].iloc[0]) & (laws["law"] == "b − a ln t")].iloc[0]
    inside = 0.15 <= row["a"] <= 0.27
    return Measured(f"a = {row['a']:.2f}", REPLICATES if inside else FAILS, "one fit over all lags")


def _late(result: Result) -> Measured:
    table = result.tables["timing"]
    row = table[(table["measure"] == "gain") & (table["readings"] == "all")].iloc[0]
    return Measured(
        f"{row['difference']:+.2f} nats per token".replace("-", "−"),
        verdict_of([sign(row["low"], row["high"])]),
        f"{_TEXTS}: {row['low']:+.2f} to {row['high']:+.2f}".replace("-", "−"),
    )


def _term(name: str, *, below: bool) -> Callable[[Result], Measured]:
    def measure(result: Result) -> Measured:
        rows = result.tables["logit"].set_index("term")
        row = rows.loc[name]
        low, high = (-row["high"], -row["low"]) if below else (row["low"], row["high"])
        return Measured(
            f"{row['value']:+.2f}".replace("-", "−") + " log-odds",
            verdict_of([sign(low, high)]),
            f"{_TEXTS}: {row['low']:+.2f} to {row['high']:+.2f}".replace("-", "−"),
        )

    return measure


def _pre_trend(result: Result) -> Measured:
    bands = result.tables["bands"].iloc[0]
    out, cells = int(bands["before_outside"]), int(bands["before"])
    rounds = int(bands["placebo_rounds"])
    return Measured(
        f"{out} of {cells} cells before the reading outside, {int(bands['after_outside'])} of"
        f" {int(bands['after'])} from it on",
        REPLICATES if out == 0 and bands["after_outside"] > 0 else FAILS if out else PART,
        f"never-read texts inside their band in {int(bands['placebo_inside'])} of {rounds} draws",
    )


def _precise(result: Result) -> Measured:
    table = result.tables["forecast"]
    said = table[table["forecast"] > 0]
    if said.empty:
        return Measured("no earlier step recites a text", OPEN, "")
    row = said.iloc[-1]
    return Measured(
        f"precision {percent(row['precision'])}, recall {percent(row['recall'])} at"
        f" {percent(row['share'])} of the training",
        verdict_of([sign(row["precision_low"], row["precision_high"], row["recall"])]),
        f"95 %: {percent(row['precision_low'])} to {percent(row['precision_high'])},"
        f" {int(row['forecast'])} texts forecast",
    )


def _sequential(result: Result) -> Measured:
    table = begun_anywhere(result.tables["access"])
    best = table.groupby("step")["said"].max().idxmax()
    rows = table[table["step"] == best].sort_values("start")
    one, other = rows.iloc[0], rows.iloc[-1]
    return Measured(
        f"{one['said']:.1f} tokens from the beginning, {other['said']:.1f} from token"
        f" {int(other['start'])}",
        verdict_of([True if one["low"] > other["high"] else
                    False if other["low"] > one["high"] else None]),
        f"{_TEXTS}: {one['low']:.1f} to {one['high']:.1f} against {other['low']:.1f} to"
        f" {other['high']:.1f}",
    )  # fmt: skip


_GROUPS = ("A few readings (Orhan 2023)", "Forgetting (Chang et al. 2024)",
           "Dose and time (Wei et al. 2025)", "Profiles, forecast and access")  # fmt: skip
CLAIMS = [
    Claim("One reading suffices for nearly perfect recognition",
          "GPT-J: above 97 % of pairs", _one_reading, _GROUPS[0], "few_shot"),
    Claim("Recall takes more readings than recognition",
          "GPT-J: about 3", _recall_later, _GROUPS[0]),
    Claim(f"Half of what recall loses is lost in the first {EARLY_DROP} updates",
          "GPT-J: steep in the first 10 of 100,000 updates", _drop, _GROUPS[0], "few_later"),
    Claim("That drop is interference, not the optimizer's: it stays with moments kept, or with a"
          " warm-up", "not separated in the paper", _optimizer, _GROUPS[0], "few_later"),
    Claim("Recognition lasts longer than recall",
          "GPT-J: recognition more robust", _recognition_lasts, _GROUPS[0], "few_later"),
    Claim("What is left falls with the logarithm of time, not exponentially",
          "OLMo: R² above 0.80", _log_time, _GROUPS[1], "laws"),
    Claim("By 0.15 to 0.27 of the gain with every e-fold of time",
          "OLMo 1B and 7B", _constant, _GROUPS[1], "laws"),
    Claim("As many readings leave more when they come late",
          "Hubble: later insertion, more memorized", _late, _GROUPS[2], "timing"),
    Claim("More readings: more recall, at equal time since",
          "Hubble: rises with duplicates", _term("each doubling of 1 + readings", below=False),
          _GROUPS[2], "logit"),
    Claim("More time since the last reading: less recall, at equal readings",
          "Hubble: earlier insertion is forgotten",
          _term("each doubling of 1 + updates since", below=True), _GROUPS[2], "logit"),
    Claim("Before the reading there is no effect, after it there is (Lesci et al. 2024)",
          "Pythia: profiles with parallel trends", _pre_trend, _GROUPS[3], "bands"),
    Claim("Earlier steps forecast with more precision than recall (Biderman et al. 2023)",
          "Pythia: useful precision, low recall", _precise, _GROUPS[3], "forecast"),
    Claim("A text is reached from its beginning, not from its middle (Zhu et al. 2024)",
          "GPT-2 large: full recitation, no selective one", _sequential, _GROUPS[3], "access"),
    *lab_claims.CLAIMS,
]  # fmt: skip


def add_claims(result: Result) -> None:
    """The table `claims`, and how many hold."""
    say_claims(result, CLAIMS, PAPER)
