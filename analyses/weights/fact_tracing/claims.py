"""What of the papers on factual recall holds here, claim by claim."""

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
from analyses.measures.statistics import sign
from analyses.weights.fact_tracing.constants import FEWEST
from workbench.wording import percent

if TYPE_CHECKING:
    from workbench.result import Result

PAPER = "Meng et al. 2022, Geva et al. 2023, Fierro et al. 2024 and Hase et al. 2023"
ABOUT = (
    "The claims of four papers on GPT-2 XL, GPT-J and larger models, and what this run measured of"
    f" each on its own model. Under {FEWEST} facts nothing is judged. A claim that fails here may"
    " hold for a larger model, and the other way round."
)
_TELLS = 0.5
"""A correlation by which a trace would help to choose a layer."""
_FACTS = "95 % over facts"


def _site(name: str, result: Result) -> Measured:
    table = result.tables["sites"]
    rows = table[table["site"] == name]
    if rows.empty:
        return NOT_MEASURED
    row = rows.iloc[0]
    measured = (
        f"{100 * row['contrast']:.1f} points more than other tokens, permuted tokens up to"
        f" {100 * row['null_high']:.1f}"
    )
    within = f"{_FACTS}: {100 * row['low']:.1f} to {100 * row['high']:.1f}, {row['n']} facts"
    if row["n"] < FEWEST or row["low"] != row["low"]:
        return Measured(measured.replace("-", "−"), OPEN, f"{row['n']} facts are too few")
    told = sign(row["low"], row["high"], row["null_high"])
    return Measured(measured.replace("-", "−"), verdict_of([told]), within.replace("-", "−"))


def _early(result: Result) -> Measured:
    return _site("early", result)


def _above(result: Result) -> Measured:
    return _site("early, above", result)


def _late(result: Result) -> Measured:
    return _site("late", result)


def _early_state(result: Result) -> Measured:
    return _site("early state", result)


def _order(result: Result) -> Measured:
    finding = result.findings.get("order")
    if finding is None:
        return Measured("not measured", OPEN, "too few facts of which blocking takes anything away")
    assert isinstance(finding.interval, dict)
    low, high = finding.interval["later"]
    later = finding.values["later"]
    words = f"{abs(later):.1f} layers {'later' if later > 0 else 'earlier'}"
    if finding.values["n"] < FEWEST:
        return Measured(words, OPEN, f"{finding.values['n']:.0f} facts are too few")
    told = verdict_of([sign(low, high)])
    return Measured(words, told, f"{_FACTS}: {low:.1f} to {high:.1f}".replace("-", "−"))


def _subject_matters(result: Result) -> Measured:
    finding = result.findings["knockout"]
    values, spread = finding.values, finding.interval
    if not isinstance(spread, dict) or "subject" not in spread or "random_tokens" not in values:
        return Measured("not measured", OPEN, "no random tokens to compare with")
    low, high = spread["subject"]
    base = values["random_tokens"]
    told = sign(-high, -low, at=-base)
    return Measured(
        f"{100 * values['subject']:.0f} %, random tokens {100 * base:.0f} %".replace("-", "−"),
        verdict_of([told]),
        f"{_FACTS}: {100 * low:.0f} to {100 * high:.0f} %".replace("-", "−"),
    )


def _attention_extracts(result: Result) -> Measured:
    finding = result.findings.get("extracted_by")
    if finding is None:
        return Measured("not measured", OPEN, "the model has no MLPs, or nothing beside them")
    assert isinstance(finding.interval, tuple)
    low, high = finding.interval
    n = int(result.tables["events"]["n"].max())
    if n < FEWEST:
        return Measured(
            f"{100 * finding.values['value']:+.0f} points", OPEN, f"{n} facts are too few"
        )
    return Measured(
        f"{100 * finding.values['value']:+.0f} points".replace("-", "−"),
        verdict_of([sign(low, high)]),
        f"{_FACTS}: {100 * low:.0f} to {100 * high:.0f}".replace("-", "−"),
    )


def _enriched(result: Result) -> Measured:
    table = result.tables["enrichment"]
    top, first = table.loc[table["rate"].idxmax()], table.iloc[0]
    n = int(top["n"])
    words = f"{percent(first['rate'])} to {percent(top['rate'])}, another's {percent(top['other'])}"
    if n < FEWEST:
        return Measured(words, OPEN, f"{n} facts are too few")
    least = max(float(first["rate"]), float(top["other"]))
    told = sign(float(top["low"]), float(top["high"]), at=least)
    within = f"{_FACTS}: {percent(top['low'])} to {percent(top['high'])}"
    return Measured(words, verdict_of([told]), within)


def _languages(result: Result) -> Measured:
    table = result.tables["shared"]
    rows = table[(table["by"] == "language") & (table["kind"] == "state")]
    if rows.empty:
        return Measured("not measured", OPEN, "fewer than two languages with enough facts")
    told = [sign(row.low, row.high, row.null_high) for row in rows.itertuples()]
    return Measured(
        f"correlations of {rows['r'].min():.2f} to {rows['r'].max():.2f}",
        verdict_of(told),
        f"{_FACTS}, against permuted tokens, {len(rows)} pairs",
    )


def _hase(result: Result) -> Measured:
    finding = result.findings["best_layer"]
    assert isinstance(finding.interval, dict)
    low, high = finding.interval["correlation"]
    gain, null = finding.values["gain"], finding.values["null_high"]
    n = result.tables["edits"]["fact"].nunique()
    # That tracing tells nothing is what is claimed: an interval above zero and a gain above that
    # of other facts' traces speak against it, and one that ends below what would help speaks for.
    verdict = OPEN
    if n >= FEWEST:
        tells = sign(low, high) is True and gain > null
        verdict = FAILS if tells else REPLICATES if high < _TELLS else OPEN
    return Measured(
        f"r {finding.values['correlation']:.2f}, R² {finding.values['r_squared']:.2f} and"
        f" {100 * gain:.1f} points more".replace("-", "−"),
        verdict,
        f"{_FACTS} ({n}): {low:.2f} to {high:.2f}".replace("-", "−"),
    )


_GROUPS = ("Where it is (Meng et al. 2022)", "How it is read (Geva et al. 2023)", "What follows")
CLAIMS = [
    Claim(
        "MLPs at the last subject token, in the lower half of the layers, carry the fact",
        "GPT-2 XL: 6.6 points of 18.6, window of 10 around layer 15", _early, _GROUPS[0], "sites",
    ),
    Claim(
        "So do MLPs above the first layer's, which does much of the embedding's work",
        "GPT-2 XL: the peak lies at layer 15 of 48", _above, _GROUPS[0], "sites",
    ),
    Claim(
        "So do states there, of subjects of several tokens",
        "GPT-2 XL: 8.7 points at layer 15", _early_state, _GROUPS[0], "sites",
    ),
    Claim(
        "Attention at the last token, in the upper half of the layers, brings it there",
        "GPT-2 XL: a late site at the last token", _late, _GROUPS[0], "sites",
    ),
    Claim(
        "The last token needs to see the subject, more than as many random tokens",
        "GPT-2 XL: up to 60 % less", _subject_matters, _GROUPS[1], "knockout",
    ),
    Claim(
        "The relation is read first, the subject in later layers",
        "GPT-2 XL and GPT-J: relation first", _order, _GROUPS[1], "knockout",
    ),
    Claim(
        "Attention extracts the answer more often than MLPs",
        "68 % (GPT-2 XL) and 44 % (GPT-J) of facts by attention", _attention_extracts, _GROUPS[1],
        "events",
    ),
    Claim(
        "The subject's last token is enriched with what is true of it",
        "GPT-2 XL: attribute rate rises over early layers", _enriched, _GROUPS[1], "enrichment",
    ),
    Claim(
        "Subjects are enriched alike in several languages (Fierro et al. 2024)",
        "XGLM, EuroLLM: largely independent of language", _languages, _GROUPS[2], "shared",
    ),
    Claim(
        "Tracing does not tell the best layer to edit (Hase et al. 2023)",
        "GPT-J: r −0.13; R² 94.7 % by layer, 94.8 % with the trace", _hase, _GROUPS[2], "edits",
    ),
]  # fmt: skip


def add_claims(result: Result) -> None:
    """The table `claims`, and how many hold."""
    say_claims(result, CLAIMS, PAPER)
