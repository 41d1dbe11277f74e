"""What of the papers on cache eviction holds here, claim by claim."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from analyses.claims import OPEN, Claim, Measured, say_claims, verdict_of
from analyses.context.kv_memory.constants import (
    FEWEST,
    FULL,
    IN_VIEW,
    LEAST_RECALL,
    QUARTER,
    RANDOM,
    RECENCY,
    UNKNOWN,
)
from analyses.measures.statistics import mean_interval, sign

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from workbench.result import Finding, Result

PAPER = "ten papers on what a cache has to keep"
ABOUT = (
    "The claims of papers on models of 7 B parameters and more, mostly at 4,000 tokens and beyond,"
    " and what this run measured on its own model and texts: log-probability of the answer, paired"
    f" by question. Under {FEWEST} texts nothing is judged."
)
_TEXTS = "95 % over texts"


_LITTLE = 0.5
"""Nats that count as next to nothing."""


def _nats(rows: pd.DataFrame, policy: str, view: str, budget: float) -> pd.Series:
    """Log-probabilities by text and question."""
    wanted = rows[(rows["policy"] == policy) & (rows["view"] == view) & (rows["budget"] == budget)]
    return wanted.set_index(["context", "question"])["logprob"]


def _quarter(rows: pd.DataFrame) -> float:
    return float(min(rows["budget"].unique(), key=lambda b: abs(b - QUARTER)))


def _paired(one: pd.Series, other: pd.Series, least: float = 0.0) -> Measured:
    """How much likelier answers are in one case than in the other."""
    both = (one - other).dropna()
    groups = both.index.get_level_values("context").to_numpy()
    n = len(np.unique(groups))
    if not n:
        return Measured("not measured", OPEN, "one of the two was not run")
    mean, (low, high) = mean_interval(both.to_numpy(), groups)
    words = f"{mean:+.2f} nats".replace("-", "−")
    if n < FEWEST:
        return Measured(words, OPEN, f"{n} texts are too few")
    within = f"{_TEXTS}: {low:+.2f} to {high:+.2f}".replace("-", "−")
    return Measured(words, verdict_of([sign(low, high, least)]), within)


def _against(policy: str, other: str, view: str = UNKNOWN) -> Callable[[Result], Measured]:
    def measure(result: Result) -> Measured:
        rows = result.tables["answers"]
        budget = _quarter(rows)
        return _paired(_nats(rows, policy, view, budget), _nats(rows, other, UNKNOWN, budget))

    return measure


def _question_helps(result: Result) -> Measured:
    rows = result.tables["answers"]
    budget = _quarter(rows)
    return _paired(_nats(rows, "snapkv", IN_VIEW, budget), _nats(rows, "snapkv", UNKNOWN, budget))


def _little_lost(result: Result, one: pd.Series, other: pd.Series, most: float) -> Measured:
    """That a change costs less than so many nats."""
    return _paired(one, other, -most)


def _snap_keeps(result: Result) -> Measured:
    rows = result.tables["answers"]
    snap = _nats(rows, "snapkv", IN_VIEW, _quarter(rows))
    return _little_lost(result, snap, _nats(rows, FULL, UNKNOWN, 1.0), _LITTLE)


def _turns_fail(result: Result) -> Measured:
    finding = result.findings["turns"]
    values, spread = finding.values, finding.interval
    words = f"{100 * values['in_view']:.0f} %, then {100 * values['later']:.0f} %"
    texts = result.tables["answers"]["context"].nunique()
    if texts < FEWEST or not isinstance(spread, dict):
        return Measured(words, OPEN, f"{texts} texts are too few")
    low, high = spread["later"]
    told = sign(-high, -low, -values["in_view"])
    return Measured(words, verdict_of([told]), f"{_TEXTS}: {100 * low:.0f} to {100 * high:.0f} %")


def _survival_tells(result: Result) -> Measured:
    finding = result.findings.get("survival")
    if finding is None or not isinstance(finding.interval, dict):
        return Measured("not measured", OPEN, "no cases of both kinds")
    values, spread = finding.values, finding.interval
    words = f"{100 * values['kept']:.0f} % against {100 * values['evicted']:.0f} %"
    texts = result.tables["answers"]["context"].nunique()
    if texts < FEWEST:
        return Measured(words, OPEN, f"{texts} texts are too few")
    told = sign(spread["kept"][0], spread["kept"][1], spread["evicted"][1])
    low, high = spread["kept"]
    return Measured(words, verdict_of([told]), f"{_TEXTS}: {100 * low:.0f} to {100 * high:.0f} %")


def _channels_go(result: Result) -> Measured:
    table = result.tables["channels"].set_index(["method", "share"])["logprob"]
    at_random = table[("whole keys", 0.0)] - table[("random channels", 0.4)]
    finding = result.findings["channels"]
    words = f"{finding.values['lost']:.2f} nats lost, at random {at_random:.2f}"
    return _lost_little(finding, words, ["lost"])


def _bits_go(result: Result) -> Measured:
    finding = result.findings["bits"]
    values = finding.values
    words = f"{values['lost_4']:.2f} nats lost in 4 bits, {values['lost_2']:.2f} in 2"
    return _lost_little(finding, words, ["lost_4", "lost_2"])


def _lost_little(finding: Finding, words: str, names: list[str]) -> Measured:
    """Whether what is lost lies below what counts as next to nothing."""
    words, texts = words.replace("-", "−"), finding.values["texts"]
    if texts < FEWEST:
        return Measured(words, OPEN, f"{texts:.0f} texts are too few")
    assert isinstance(finding.interval, dict)
    told, within = [], []
    for name in names:
        low, high = finding.interval[name]
        told.append(sign(-high, -low, -_LITTLE))
        within.append(f"{low:.2f} to {high:.2f}")
    return Measured(
        words, verdict_of(told), f"{_TEXTS}: {' and '.join(within)} nats".replace("-", "−")
    )


def _blocks_hit(result: Result) -> Measured:
    finding = result.findings["blocks"]
    assert isinstance(finding.interval, dict)
    low, high = finding.interval["value"]
    value, chance = finding.values["value"], finding.values["chance"]
    words = f"{100 * value:.0f} % of layers, drawn {100 * chance:.0f} %"
    texts = result.tables["lookups"]["context"].nunique()
    if texts < FEWEST:
        return Measured(words, OPEN, f"{texts} texts are too few")
    told = verdict_of([sign(low, high, chance)])
    return Measured(words, told, f"{_TEXTS}: {100 * low:.0f} to {100 * high:.0f} %")


def _gained(name: str) -> Callable[[Result], Measured]:
    def measure(result: Result) -> Measured:
        finding = result.findings["episodes"]
        assert isinstance(finding.interval, dict)
        low, high = finding.interval[name]
        words = f"{100 * finding.values[name]:+.1f} points".replace("-", "−")
        if low != low or result.tables["episodes"]["n"].max() < FEWEST:
            return Measured(words, OPEN, "too few texts")
        within = f"{_TEXTS}: {100 * low:+.1f} to {100 * high:+.1f}".replace("-", "−")
        return Measured(words, verdict_of([sign(low, high)]), within)

    return measure


def _fluent(result: Result) -> Measured:
    values = result.findings["past_window"].values
    words = f"{values['masked']:.2f} nats, {values['within']:.2f} within the window"
    held = bool(values["masked"] < values["within"] + 0.2)
    return Measured(words, verdict_of([held]), "one text")


_GROUPS = ("Which tokens", "When the question is known", "Fewer numbers", "Blocks and episodes")
CLAIMS = [
    Claim("The first tokens have to stay", "StreamingLLM: perplexity collapses without them",
          _against("streaming", RECENCY), _GROUPS[0], "answers"),
    Claim("Tokens that get attention are worth more than the newest", "H2O: 20 % of the cache keep"
          " accuracy", _against("h2o", "streaming"), _GROUPS[0], "answers"),
    Claim("Small keys are worth more than random ones", "L2 norm: 90 % smaller on pass keys without"
          " loss", _against("key-norm", RANDOM), _GROUPS[0], "answers"),
    Claim("Keys unlike the others are worth more than random ones", "KeyDiff: 0.04 % lost at 8,000"
          " kept tokens", _against("keydiff", RANDOM), _GROUPS[0], "answers"),
    Claim("So are keys that later queries are expected to look at", "Expected Attention: ahead of"
          " others before the question is known", _against("expected", RANDOM), _GROUPS[0],
          "answers"),
    Claim("Surprising tokens are worth more than the newest", "SirLLM: ahead of StreamingLLM in"
          " dialogues", _against("sirllm", "streaming"), _GROUPS[0], "answers"),
    Claim("What survives decides what is answered", "assumed by all of them", _survival_tells,
          _GROUPS[0], "survival"),
    Claim("A quarter, chosen with the question in view, loses next to nothing", "SnapKV: comparable"
          " to the full cache at 1,024 of 16,000 tokens", _snap_keeps, _GROUPS[1], "answers"),
    Claim("Without the question in view the same policy keeps less", "SCBench, and"
          " kvpress' leaderboard", _question_helps, _GROUPS[1], "answers"),
    Claim("The next questions are answered less often", "SCBench: fails in later turns",
          _turns_fail, _GROUPS[1], "turns"),
    Claim("40 % of the channels of the keys can go", "ThinK: comparable or better accuracy",
          _channels_go, _GROUPS[2], "channels"),
    Claim("2 bits are enough, with keys scaled by channel", "KIVI: almost the same accuracy",
          _bits_go, _GROUPS[2], "bits"),
    Claim("Look-ups fetch the block with the answer", "InfLLM: 100 % on pass keys of 1,024,000"
          " tokens", _blocks_hit, _GROUPS[3], "lookups"),
    Claim("Surprising boundaries are better than random ones of the same sizes", "EM-LLM: ahead of"
          " InfLLM's fixed blocks", _gained("gain"), _GROUPS[3], "episodes"),
    Claim("So is giving room to neighbours in time", "EM-LLM: contiguity helps",
          _gained("neighbours"), _GROUPS[3], "episodes"),
    Claim("Reading stays fluent past the window under a Λ mask", "LM-Infinite: fluent to 32,000"
          " tokens", _fluent, _GROUPS[3], "past"),
]  # fmt: skip


def add(result: Result) -> None:
    """Judge all claims; none where the full cache recalls too little to lose any."""
    full = result.findings.get("full")
    if full is not None and full.values["value"] < LEAST_RECALL:
        say_claims(result, [replace(c, measure=partial(_too_little, c)) for c in CLAIMS], PAPER)
    else:
        say_claims(result, CLAIMS, PAPER)


def _too_little(claim: Claim, result: Result) -> Measured:
    measured = claim.measure(result).measured
    return Measured(measured, OPEN, "the full cache recalls too little to lose any")
