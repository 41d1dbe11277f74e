"""What of the papers on editing holds here, claim by claim."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analyses.claims import FAILS, NOT_MEASURED, OPEN, Claim, Measured, say_claims, verdict_of
from analyses.measures.statistics import rates_apart, sign, wilson
from analyses.weights.edit_ledger import constants as c
from analyses.weights.edit_ledger.rates import hits, with_knowledge
from workbench.wording import percent, percent_span

if TYPE_CHECKING:
    from workbench.result import Result

PAPER = "seven papers on editing"
ABOUT = (
    "Statements of Meng et al. 2022 and 2023 (ROME, MEMIT), Gupta et al. 2024 (r-ROME and edits in"
    " sequence), Hartvigsen et al. 2023 (GRACE), Cohen et al. 2023 (RippleEdits) and Ma et al. 2024"
    " (robustness), each beside what this run measured. Models there have 1.5 billion numbers and"
    " more."
)
_FACTS = "95 % over facts"
_FEW = 4
"""Facts below which no verdict is given: one edit proves nothing of a method."""


def _rate(result: Result, method: str, name: str) -> tuple[float, tuple[float, float], int] | None:
    table = result.tables["methods"]
    rows = table[table["method"] == c.METHODS[method]]
    if rows.empty or np.isnan(rows.iloc[0][name]):
        return None
    row = rows.iloc[0]
    n = int(row[f"{name}_n"])
    return float(row[name]), (float(row[f"{name}_low"]), float(row[f"{name}_high"])), n


def _against_nulls(result: Result) -> Measured:
    """Whether rank-1 edits beat random ones of equal size, in sentences never seen."""
    answers = with_knowledge(result.tables["answers"])
    of = {
        m: hits(answers[answers["method"] == c.METHODS[m]], "generalization")
        for m in ("r-rome", "random-change")
    }
    if not all(len(right) for right, _ in of.values()):
        return NOT_MEASURED
    (one, a), (two, b) = of["r-rome"], of["random-change"]
    return _apart(
        f"{percent(one.mean())} of paraphrases, a random change {percent(two.mean())}",
        (one, a),
        (two, b),
    )


Counted = tuple[np.ndarray, np.ndarray]
"""Whether each counts, and of which fact it is."""


def _apart(measured: str, first: Counted, second: Counted) -> Measured:
    """Whether the first share is the larger, over facts."""
    (one, a), (two, b) = first, second
    low, high = rates_apart(one.mean(), len(set(a)), two.mean(), len(set(b)))
    apart = f"{100 * low:+.0f} to {100 * high:+.0f} points".replace("-", "−")
    few = min(len(set(a)), len(set(b))) < _FEW
    return Measured(measured, _verdict(few, sign(low, high)), f"{_FACTS}: {apart}")


def _verdict(few: bool, told: bool | None) -> str:
    return OPEN if few else verdict_of([told])


def _at_least(method: str, name: str, least: float, result: Result) -> Measured:
    found = _rate(result, method, name)
    if found is None:
        return NOT_MEASURED
    share, (low, high), n = found
    return Measured(
        f"{percent(share)} of {n}",
        _verdict(len(result.tables["facts"]) < _FEW, sign(low, high, least)),
        f"{_FACTS}: {percent_span(low, high)}",
    )


def _two_steps(result: Result) -> Measured:
    """Whether editing in context beats editing weights where something has to be concluded."""
    answers = with_knowledge(result.tables["answers"])
    names = [n for n in ("onward", "behind") if len(hits(answers, n)[0])]
    context, weights = [], []
    for name in names:
        for method, rows in answers.groupby("method"):
            right, facts = hits(rows, name)
            if method == c.METHODS["in-context"]:
                context.append((right, facts))
            elif method in [c.METHODS[m] for m in c.SEQUENTIAL]:
                weights.append((right, facts))
    if not context or not weights:
        return NOT_MEASURED
    first, second = (
        (np.concatenate([h for h, _ in found]), np.concatenate([f for _, f in found]))
        for found in (context, weights)
    )
    said = f"in context {percent(first[0].mean())}, in weights {percent(second[0].mean())}"
    return _apart(said, first, second)


def _plain_is_best(result: Result) -> Measured:
    finding = result.findings.get("asked_otherwise")
    if finding is None or not isinstance(finding.interval, dict):
        return NOT_MEASURED
    values = {k: v for k, v in finding.values.items() if k != "plain"}
    plain = finding.interval["plain"][0]
    below = [finding.interval[name][1] < plain for name in values]
    return Measured(
        f"plain {percent(finding.values['plain'])}, "
        + ", ".join(f"{name} {percent(share)}" for name, share in values.items()),
        verdict_of([True if b else None for b in below]),
        _FACTS,
    )


def _popular(result: Result) -> Measured:
    finding = result.findings.get("less_known")
    if finding is None:
        return NOT_MEASURED
    assert isinstance(finding.interval, tuple)
    low, high = finding.interval
    return Measured(
        f"{100 * finding.values['value']:+.0f} points for less known facts".replace("-", "−"),
        verdict_of([sign(low, high)]),
        f"{_FACTS}: {100 * low:+.0f} to {100 * high:+.0f}".replace("-", "−"),
    )


def _forgets(result: Result) -> Measured:
    """Whether earlier edits are lost as later ones follow."""
    table = result.tables["ledger"]
    told, words = [], []
    for method, rows in table.groupby("method", sort=False):
        first = rows[rows["made"] == rows["tested"]].set_index("edit")["holds"]
        end = rows[(rows["tested"] == rows["tested"].max()) & (rows["made"] < rows["tested"].max())]
        had = first.reindex(end["edit"]).to_numpy(bool)
        n, lost = int(had.sum()), int((had & ~end["holds"].to_numpy(bool)).sum())
        low, high = wilson(lost, n)
        told.append(True if low > 0.05 else False if high < 0.05 else None)
        words.append(f"{method} {lost} of {n}")
    return Measured(f"lost at the end: {'; '.join(words)}", verdict_of(told), "95 % over edits")


def _collapse(result: Result) -> Measured:
    """Whether r-ROME keeps what the published ROME breaks."""
    drift = result.tables["drift"]
    names = [c.METHODS[m] for m in ("rome", "r-rome")]
    if not set(names) <= set(drift["method"]):
        return NOT_MEASURED
    loss = {
        m: float(drift[drift["method"] == name]["loss_change"].max())
        for m, name in zip(("rome", "r-rome"), names, strict=True)
    }
    apart = loss["rome"] - loss["r-rome"]
    verdict = verdict_of([True if apart > c.DISABLED else None])
    if loss["r-rome"] > c.DISABLED and apart <= c.DISABLED:
        verdict = FAILS
    return Measured(
        f"loss rises by {loss['rome']:.2f} (published) and {loss['r-rome']:.2f} (r-ROME) nats",
        verdict,
        "one sequence of edits: over seeds it may differ",
    )


_ONE, _MANY = "One edit at a time", "Edit after edit"
CLAIMS = [
    Claim("A rank-1 edit reaches wordings that it never saw", "96 % of paraphrases (GPT-2 XL)",
          _against_nulls, _ONE, "methods"),
    Claim("ROME leaves three quarters of the neighbours alone or more", "75 % (GPT-2 XL)",
          lambda result: _at_least("r-rome", "specificity", 0.75, result), _ONE, "methods"),
    Claim("MEMIT changes the edited sentence", "99 % (GPT-J)",
          lambda result: _at_least("memit", "efficacy", 0.9, result), _ONE, "methods"),
    Claim("GRACE leaves neighbours alone", "locality 1",
          lambda result: _at_least("grace", "neighbours_unmoved", 0.95, result), _ONE, "methods"),
    Claim("Where something has to be concluded, editing in context is best",
          "best on RippleEdits", _two_steps, _ONE, "methods"),
    Claim("An edit holds less behind other text than in the plain sentence",
          "from 86 to 99.9 % down to 9 to 72 %", _plain_is_best, _ONE, "methods"),
    Claim("Well-known facts are edited worse", "worse for popular facts", _popular, _ONE,
          "methods"),
    Claim("Earlier edits are forgotten as others follow", "gradual, then abrupt", _forgets, _MANY,
          "ledger"),
    Claim("r-ROME turns the collapse of the published ROME into gradual decline",
          "no abrupt collapse", _collapse, _MANY, "drift"),
]  # fmt: skip


def add_claims(result: Result) -> None:
    """Judge them all."""
    say_claims(result, CLAIMS, PAPER)
