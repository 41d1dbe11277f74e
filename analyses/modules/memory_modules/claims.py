"""What of the papers on memories and on feed-forward layers as memories holds here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.claims import (
    FAILS,
    NOT_MEASURED,
    OPEN,
    REPLICATES,
    Claim,
    Measured,
    say_claims,
    verdict_of,
)
from analyses.measures.statistics import paired_gain, rates_apart, sign
from analyses.modules.memory_modules.constants import (
    ANSWER_RANK,
    B_SAID,
    FEWEST,
    KEPT,
    OF_DOMAIN,
    OFF,
    OTHER_RANK,
    OTHERS,
    OWN,
    RANDOM,
    RANDOM_VALUES,
    SWAPPED,
    WHOLE,
)
from analyses.modules.memory_modules.findings import at_loss
from workbench.wording import percent

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

PAPER = (
    "Geva et al. 2021, Dai et al. 2022, Lample et al. 2019, Wu et al. 2022, Diao et al. 2023, Dou"
    " et al. 2024 and Wang et al. 2024"
)
ABOUT = (
    "The claims of seven papers, on feed-forward layers as key-value memories, on memories of"
    " product keys, of earlier tokens, of updates and of domains, and what this run measured of"
    " each on its own model."
    f" Under {FEWEST} facts nothing is judged."
)
_USED = 0.9


def _rows(result: Result, level: int) -> dict[str, pd.Series]:
    curve = result.tables["curve"]
    here = curve[curve["slots"] == level]
    return {str(row["what"]): row for _, row in here.iterrows()}


def _lost(result: Result) -> Measured:
    curve = result.tables["curve"]
    found = at_loss(curve)
    level = int(curve["slots"].max()) if found is None else found[0]
    at = _rows(result, level)
    own, by_lot = at[OWN], at.get(RANDOM)
    words = f"{percent(own['recall'])} left with {own['masked']:.0f} masked"
    if by_lot is None:
        return Measured(words, OPEN, "no random slots to compare with")
    words += f", {percent(by_lot['recall'])} with random ones"
    n = int(own["n"])
    if n < FEWEST:
        return Measured(words, OPEN, f"{n} facts are too few")
    low, high = rates_apart(by_lot["recall"], by_lot["n"], own["recall"], n)
    return Measured(
        words, verdict_of([sign(low, high)]),
        f"95 % of the difference: {100 * low:.0f} to {100 * high:.0f} points".replace("-", "−"),
    )  # fmt: skip


def _others_kept(result: Result) -> Measured:
    found = at_loss(result.tables["curve"])
    if found is None:
        return Measured("no fact is lost", OPEN, "no number of slots that was tried loses facts")
    others, n = found[1][OTHERS], int(found[1][OWN]["n"])
    lost, high = 1 - float(others["recall"]), 1 - float(others["low"])
    words = f"{100 * lost:.1f} of 100 other facts are lost"
    if n < FEWEST or high != high:
        return Measured(words, OPEN, f"{n} facts are too few")
    verdict = REPLICATES if high < KEPT else FAILS if 1 - float(others["high"]) > KEPT else OPEN
    return Measured(
        words, verdict, f"95 %: up to {100 * high:.1f}; local is under {100 * KEPT:.0f}"
    )


def _more_local(result: Result) -> Measured:
    mine, its = at_loss(result.tables["curve"]), at_loss(result.tables["twins_curve"])
    if mine is None or its is None:
        return Measured("one of the two loses no fact", OPEN, "numbers of slots that were tried")
    one, other = mine[1][OTHERS], its[1][OTHERS]
    words = (
        f"{mine[0]} slots and {100 * (1 - one['recall']):.1f} of 100 others lost; {its[0]} neurons"
        f" and {100 * (1 - other['recall']):.1f}"
    )
    n = min(int(mine[1][OWN]["n"]), int(its[1][OWN]["n"]))
    if n < FEWEST:
        return Measured(words, OPEN, f"{n} facts are too few")
    apart = one["low"] > other["high"]
    verdict = REPLICATES if apart and mine[0] < its[0] else OPEN
    if other["low"] > one["high"]:
        verdict = FAILS
    return Measured(
        words, verdict,
        f"95 % of others kept: {percent(one['low'])} to {percent(one['high'])} and"
        f" {percent(other['low'])} to {percent(other['high'])}",
    )  # fmt: skip


def _used(result: Result) -> Measured:
    used = result.findings["usage"].values["used"]
    if result.findings["memory"].values["stand_in"]:
        return Measured(f"{percent(used)} of the neurons", OPEN, "every neuron is read a little")
    verdict = REPLICATES if used >= _USED else FAILS
    return Measured(f"{percent(used)} of the slots", verdict, "counted over all facts asked")


def _moved(result: Result) -> Measured:
    rates = result.tables["swap_rates"]
    if rates.empty:
        return NOT_MEASURED
    at = _by_kind(rates)
    n = int(rates["n"].iloc[0])
    words = f"{percent(at[SWAPPED])}, values of random slots {percent(at[RANDOM_VALUES])}"
    if n < FEWEST:
        return Measured(words, OPEN, f"{n} facts are too few")
    low, high = rates_apart(at[SWAPPED], n, at[RANDOM_VALUES], n)
    return Measured(
        words, verdict_of([sign(low, high)]),
        f"95 % of the difference: {100 * low:.0f} to {100 * high:.0f} points".replace("-", "−"),
    )  # fmt: skip


def _by_kind(rates: pd.DataFrame) -> dict[str, float]:
    moved = rates[rates["says"] == B_SAID]
    return dict(zip(moved["values"], moved["share"].astype(float), strict=True))


def _promoted(result: Result) -> Measured:
    ranks = result.tables["ranks"].pivot(index="fact", columns="what", values="rank").dropna()
    if ranks.shape[1] < 2 or len(ranks) < FEWEST:
        return Measured("not compared", OPEN, f"{len(ranks)} facts are too few")
    own, other = ranks[ANSWER_RANK], ranks[OTHER_RANK]
    higher = (own < other).astype(int) - (own > other).astype(int)
    low, high = paired_gain(higher.to_numpy())[1]
    words = f"median rank {own.median():.0f}, another fact's answer {other.median():.0f}"
    within = f"95 % of how much oftener it is higher: {100 * low:.0f} to {100 * high:.0f} points"
    return Measured(words, verdict_of([sign(low, high)]), within.replace("-", "−"))


def _hits(result: Result) -> Measured:
    hits = result.tables["hits"]
    best = hits.loc[hits["hit"].idxmax()]
    words = f"{percent(best['hit'])} of questions, at random {percent(best['chance'])}"
    told = sign(float(best["low"]), float(best["high"]), at=max(0.5, float(best["chance"])))
    within = f"95 %: {percent(best['low'])} to {percent(best['high'])}; holds above a half"
    return Measured(words, verdict_of([told]), within)


def _needed(result: Result) -> Measured:
    rows = {row["change"]: row for _, row in result.tables["changes"].iterrows()}
    whole, off = rows[WHOLE], rows[OFF]
    low, high = rates_apart(whole["own"], whole["n"], off["own"], off["n"])
    words = f"{percent(whole['own'])} with it, {percent(off['own'])} without"
    within = f"95 % of the difference: {100 * low:.0f} to {100 * high:.0f} points"
    return Measured(words, verdict_of([sign(low, high)]), within.replace("-", "−"))


def _faded(result: Result) -> Measured:
    rows = result.tables["retention"]
    early, late = rows[rows["from"] < _SOON], rows[rows["from"] >= _SOON]
    if early.empty or late.empty:
        return NOT_MEASURED
    (a, n), (b, m) = (
        (float((some["with_memory"] * some["n"]).sum() / some["n"].sum()), int(some["n"].sum()))
        for some in (early, late)
    )
    low, high = rates_apart(a, n, b, m)
    words = f"{percent(a)} within {_SOON} updates, {percent(b)} after more"
    within = f"95 % of the difference: {100 * low:.1f} to {100 * high:.1f} points"
    told = sign(low, high, at=_FADED)
    return Measured(words, verdict_of([told]), f"{within}; fades above {100 * _FADED:.0f} points")


def _told(result: Result) -> Measured:
    told = result.tables["domain_told"]
    worst = told.loc[told["auc"].idxmin()]
    words = f"AUC {worst['auc']:.2f} for {worst['domain']}, the least of {len(told)}"
    within = f"95 %: {worst['low']:.2f} to {worst['high']:.2f}; holds above {_APART}"
    held = sign(float(worst["low"]), float(worst["high"]), at=_APART)
    return Measured(words, verdict_of([held]), within)


def _own_lost(result: Result) -> Measured:
    table, signs, words = result.tables["domain_masked"], [], []
    for domain in result.tables["domain_told"]["domain"]:
        mine = table[table["kind"] == OF_DOMAIN.format(domain)]
        own, rest = mine[mine["domain"] == domain].iloc[0], mine[mine["domain"] != domain]
        other = float(rest["right"].mean())
        signs.append(sign(*rates_apart(other, rest["n"].sum(), own["right"], own["n"])))
        words.append(f"{domain}: {percent(own['right'])} left, of others {percent(other)}")
    return Measured("; ".join(words), verdict_of(signs), "95 % of each difference excludes zero")


_SOON, _FADED, _APART = 8, 0.05, 0.75
_GROUPS = (
    "Slots of facts", "The memory as a whole", "A memory of tokens", "A memory of updates",
    "Domains",
)  # fmt: skip
CLAIMS = [
    Claim(
        "A fact is lost with the few slots or neurons it reads most, not with random ones",
        "Dai et al. 2022 (BERT): suppressing a fact's neurons takes 29 % of its probability",
        _lost, _GROUPS[0], "curve",
    ),
    Claim(
        "Other facts are kept",
        "Dai et al. 2022: other relations lose little", _others_kept, _GROUPS[0], "curve",
    ),
    Claim(
        "Facts in slots are more local than in an MLP that learned the same",
        "our own expectation; no paper compares them", _more_local, _GROUPS[0], "twins_curve",
    ),
    Claim(
        "Values carry the answer: with another fact's values the model gives its answer",
        "Geva et al. 2021: a value promotes the tokens that follow what its key reads",
        _moved, _GROUPS[0], "swap_rates",
    ),
    Claim(
        "What is read promotes the answer through the unembedding",
        "Geva et al. 2021: of values in upper layers",
        _promoted, _GROUPS[1], "ranks",
    ),
    Claim(
        "Nearly all slots are used",
        "Lample et al. 2019: 97 to 100 % of product keys, with normalised queries",
        _used, _GROUPS[1], "usage",
    ),
    Claim(
        "What is read most is the definition of what is asked for",
        "Wu et al. 2022: hits of a name or a lemma fall on its definition",
        _hits, _GROUPS[2], "hits",
    ),
    Claim(
        "What is farther back than attention sees is found by the memory alone",
        "Wu et al. 2022: the gain lies in what was said long before",
        _needed, _GROUPS[2], "changes",
    ),
    Claim(
        "What was written fades with every further update",
        "MemoryLLM, Wang et al. 2024: random slots are dropped, so that retention falls"
        " exponentially",
        _faded, _GROUPS[3], "retention",
    ),
    Claim(
        "The gate tells domains apart",
        "Diao et al. 2023 and Dou et al. 2024: a router weighs adapters by the text's domain",
        _told, _GROUPS[4], "domain_told",
    ),
    Claim(
        "Without a domain's slot its own answers are lost before those of others",
        "Diao et al. 2023: an adapter holds the knowledge of its domain",
        _own_lost, _GROUPS[4], "domain_masked",
    ),
]  # fmt: skip


def add_claims(result: Result) -> None:
    """Judge them all."""
    say_claims(result, CLAIMS, PAPER)
