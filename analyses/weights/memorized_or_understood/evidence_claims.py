"""What of the papers on premises, tables, popularity and traps holds here, claim by claim."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from analyses.claims import OPEN, Claim, Measured, verdict_of
from analyses.measures.statistics import sign, spearman
from analyses.weights.memorized_or_understood.tables_schema import NEXT_ROW, WHOLE
from workbench.wording import percent, percent_span

if TYPE_CHECKING:
    from workbench.result import Finding, Result

PAPERS = "McKenna et al. 2023, Mallen et al. 2023, Bordt et al. 2024 and Meeus et al. 2024"
_GROUPS = ("Premises (McKenna et al. 2023)", "Tables (Bordt et al. 2024)",
           "Popularity (Mallen et al. 2023)", "Copyright traps (Meeus et al. 2024)")  # fmt: skip


def _of_auc(auc: float, low: float, high: float, over: str) -> Measured:
    return Measured(
        f"AUC {auc:.2f}", verdict_of([sign(low, high, at=0.5)]),
        f"95 % over {over}: {low:.2f} to {high:.2f}",
    )  # fmt: skip


def _bounds(finding: Finding, key: str) -> tuple[float, float]:
    assert isinstance(finding.interval, dict)
    low, high = finding.interval[key]
    return float(low), float(high)


def _attested(result: Result) -> Measured:
    found = result.findings["attestation"]
    return _of_auc(found.values["auc"], *_bounds(found, "auc"), "hypotheses")


def _by_heart(result: Result) -> Measured:
    table = result.tables["table_tests"]
    row = table[(table["test"] == NEXT_ROW) & (table["column"] == WHOLE)].iloc[0]
    return Measured(
        f"{percent(row['right'])} of rows, without a model {percent(row['chance'])}",
        verdict_of([sign(row["low"], row["high"], at=row["chance"])]),
        f"95 % over rows: {percent_span(row['low'], row['high'])}",
    )


def _popular(result: Result) -> Measured:
    found = result.findings["popularity"]
    if "auc" not in found.values:
        return Measured("too few facts are known, or are not", OPEN, "")
    return _of_auc(found.values["auc"], *_bounds(found, "auc"), "facts")


def _adaptive(result: Result) -> Measured:
    found = result.findings["retrieval"]
    low, high = _bounds(found, "gain")
    return Measured(
        f"{percent(found.values['gain'], sign=True)} against the better of never and always",
        verdict_of([sign(low, high)]),
        f"95 % over facts: {percent(low, sign=True)} to {percent(high, sign=True)}",
    )


def _rank(result: Result, column: str) -> Measured:
    """How a trap's gain goes with one of its properties (Fisher's interval of a rank
    correlation).
    """
    members = result.tables["traps"].query("repeats > 0")
    value, n = spearman(members[column].to_numpy(), members["gain"].to_numpy()), len(members)
    if not math.isfinite(value) or n < 4:
        return Measured("too few traps", OPEN, f"{n} traps")
    middle, half = math.atanh(max(-0.999, min(0.999, value))), 1.96 / math.sqrt(n - 3)
    low, high = math.tanh(middle - half), math.tanh(middle + half)
    return Measured(
        f"rank correlation {value:+.2f}".replace("-", "−"),
        verdict_of([sign(low, high)]),
        f"95 % over traps: {low:+.2f} to {high:+.2f}".replace("-", "−"),
    )


def _by_repeats(result: Result) -> Measured:
    return _rank(result, "repeats")


def _by_perplexity(result: Result) -> Measured:
    return _rank(result, "perplexity")


def _by_length(result: Result) -> Measured:
    return _rank(result, "length")


CLAIMS = [
    Claim("What a model knows it says to follow, whatever the premise",
          "LLaMA-65B, GPT-3.5, PaLM: entailment is said far more often of attested hypotheses",
          _attested, _GROUPS[0], "attestation_tests"),
    Claim("Tables that are everywhere come out row by row",
          "GPT-3.5 and GPT-4 say rows of iris, Titanic and others word for word", _by_heart,
          _GROUPS[1], "table_tests"),
    Claim("Facts about popular entities are known more often",
          "accuracy rises with page views, for all models", _popular, _GROUPS[2],
          "popularity_grid"),
    Claim("Looking up only below a threshold of popularity beats one rule for all",
          "adaptive retrieval better than always, for large models", _adaptive, _GROUPS[2],
          "retrieval"),
    Claim("A trap tells more the more often it was put in", "AUC rises with repetitions",
          _by_repeats, _GROUPS[3], "traps"),
    Claim("A trap tells more the higher its perplexity", "AUC rises with perplexity",
          _by_perplexity, _GROUPS[3], "traps"),
    Claim("A trap tells more the longer it is", "AUC rises with length", _by_length, _GROUPS[3],
          "traps"),
]  # fmt: skip
