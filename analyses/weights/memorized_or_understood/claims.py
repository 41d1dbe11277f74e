"""What of the papers on memorizing and solving holds here, claim by claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.claims import (
    NOT_MEASURED,
    OPEN,
    Claim,
    Measured,
    say_claims,
    verdict_of,
)
from analyses.measures import understood_items as asking
from analyses.measures.statistics import mean_interval, sign
from analyses.weights.memorized_or_understood import evidence_claims
from analyses.weights.memorized_or_understood.constants import (
    FORMS,
    LEAST,
    MODEL,
    SHUFFLED,
    SINGLE,
    UNTRAINED,
)
from workbench.wording import percent, percent_span

if TYPE_CHECKING:
    from workbench.result import Finding, Result

PAPER = f"Xie et al. 2024, Balepur et al. 2024, Cao et al. 2024, {evidence_claims.PAPERS}"
ABOUT = (
    "The claims are of models with billions of parameters; this run asked one model of its own."
    " Where a small model is at chance, a claim about what it solves cannot hold, and that is said."
)
_UNKNOWN = Measured("not measured", OPEN, "nobody knows which puzzles this model has read")
_NEAR = 0.9
"""Share of puzzles from which on they count as nearly all."""
_95 = "95 % over puzzles"


def _span(finding: Finding, key: str) -> tuple[float, float]:
    assert isinstance(finding.interval, dict)
    low, high = finding.interval[key]
    return float(low), float(high)


def _memorized(result: Result) -> Measured:
    found = result.findings["puzzles"]
    if "trained" not in found.values:
        return _UNKNOWN
    low, high = _span(found, "trained")
    return Measured(
        f"{percent(found.values['trained'])} of those it has read",
        verdict_of([sign(low, high, at=_NEAR)]),
        f"{_95}: {percent_span(low, high)}",
    )


def _inconsistent(result: Result) -> Measured:
    found = result.findings["limem"]
    if "apart" not in found.values:
        return _UNKNOWN
    low, high = _span(found, "apart")
    return Measured(
        f"LiMem {percent(found.values['trained'])}, fresh {percent(found.values['fresh'])}",
        verdict_of([sign(low, high)]),
        f"{_95}, of the difference: {100 * low:.0f} to {100 * high:.0f} points".replace("-", "−"),
    )


def _together(result: Result) -> Measured:
    found = result.findings["path"]
    if "change" not in found.values:
        return Measured("not told", OPEN, "there is no step from which on it memorizes")
    low, high = _span(found, "change")
    return Measured(
        f"{100 * found.values['change']:+.0f} points since before it memorized".replace("-", "−"),
        verdict_of([sign(low, high)]),
        f"{_95}: {100 * low:.0f} to {100 * high:.0f}".replace("-", "−"),
    )


def _carries_over(result: Result) -> Measured:
    found = result.findings.get("transfer")
    if found is None:
        return NOT_MEASURED
    table = result.tables["puzzles"]
    rows = table[(table["model"] == MODEL) & (table["version"] == "as it stands")]
    told, words = [], []
    for key, value in found.values.items():
        people = int(key.rpartition("_")[2])
        row = rows[rows["people"] == people].iloc[0]
        told.append(sign(*_span(found, key), at=max(row["chance"], row["majority"])))
        words.append(f"{percent(value)} with {people} people")
    return Measured(", ".join(words), verdict_of(told), f"{_95}, against chance")


def _probed(result: Result) -> Measured:
    table = result.tables["probes"]
    own = table[(table["model"] == MODEL) & (table["of"] == "fresh")]
    best = own.loc[own["auc"].idxmax()]
    null = float(table[table["model"].isin([SHUFFLED, UNTRAINED])]["auc"].max())
    return Measured(
        f"AUC {best['auc']:.2f} in layer {best['layer']}, the nulls up to {null:.2f}",
        verdict_of([sign(float(best["low"]), float(best["high"]), at=null)]),
        f"{_95}: {best['low']:.2f} to {best['high']:.2f}",
    )


def _options_only(result: Result) -> Measured:
    row = result.tables["shortcuts"].set_index("shown").loc[asking.OPTIONS]
    base = max(float(row["majority"]), float(row["chance"]))
    return Measured(
        f"{percent(row['rate'])}, the commonest place {percent(row['majority'])}",
        verdict_of([sign(float(row["low"]), float(row["high"]), at=base)]),
        f"95 % over items: {percent_span(row['low'], row['high'])}",
    )


def _single_item(result: Result) -> Measured:
    table = result.tables["structure"]
    own = table[table["model"] == MODEL].set_index("form")
    if int(own["n"].min()) < LEAST:
        return Measured("too few facts", OPEN, f"{int(own['n'].min())} facts")
    # Above chance, as a share of what is left above it: forms guess differently well.
    rows = result.tables["structure_items"]
    right = rows.pivot(index="fact", columns="form", values="right").astype(float)
    lead = (right - own["chance"]) / (1 - own["chance"])
    others = lead[[form for form in FORMS if form != SINGLE]].mean(axis=1)
    _, (low, high) = mean_interval((lead[SINGLE] - others).to_numpy())
    return Measured(
        f"{100 * lead[SINGLE].mean():.0f} % of the way from chance to all, the other forms"
        f" {100 * others.mean():.0f} %".replace("-", "−"),
        verdict_of([sign(low, high)]),
        f"95 % over facts, of the difference: {100 * low:+.0f} to {100 * high:+.0f} points".replace(
            "-", "−"
        ),
    )


_GROUPS = ("Puzzles (Xie et al. 2024)", "Options (Balepur et al. 2024)",
           "Structure (Cao et al. 2024)")  # fmt: skip
CLAIMS = [
    Claim("Puzzles that were read again and again are solved nearly all",
          "Llama-3-8B, GPT-4o-mini: near 100 % of trained puzzles", _memorized, _GROUPS[0],
          "limem"),
    Claim("Changed a little, many of them are no longer solved",
          "LiMem higher on trained than on fresh puzzles", _inconsistent, _GROUPS[0], "limem"),
    Claim("While it memorizes, it also solves more fresh puzzles",
          "test accuracy rises along fine-tuning", _together, _GROUPS[0], "path"),
    Claim("What it learned carries over to puzzles of other sizes",
          "trained on 3 or 5 people, better on 2 to 8", _carries_over, _GROUPS[0], "puzzles"),
    Claim("Whether a statement is true can be read off the middle layers",
          "probe accuracy highest in the middle layers", _probed, _GROUPS[0], "probes"),
    Claim("The options alone give more than the majority",
          "in 11 of 12 cases, by up to 33 points", _options_only, _GROUPS[1], "shortcuts"),
    Claim("A single item is answered better than items around the same fact",
          "a contaminated model: the item rises, the structure does not", _single_item, _GROUPS[2],
          "structure"),
    *evidence_claims.CLAIMS,
]  # fmt: skip
JUDGED = {claim.needs for claim in CLAIMS}
"""Tables without any of which there is nothing to judge."""


def add_claims(result: Result) -> None:
    """The table `claims`, and how many hold."""
    say_claims(result, CLAIMS, PAPER)
