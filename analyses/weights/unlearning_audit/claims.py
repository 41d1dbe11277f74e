"""What of the papers on unlearning holds for this run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from analyses.claims import NOT_MEASURED, OPEN, Claim, Measured, say_claims, verdict_of
from analyses.measures.statistics import mean_interval, sign
from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit import verdicts as v
from analyses.weights.unlearning_audit.fact_groups import CHANCE, HELD_OUT, LABELS, TRAINED
from analyses.weights.unlearning_audit.spreading_findings import best_probes

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

PAPER = "eight papers on unlearning"
ABOUT = (
    "Statements of Shi et al. 2024 (MUSE), Zhang et al. 2024 (NPO), Maini et al. 2024 (TOFU), Zhang"
    " et al. 2024 (rounding), two papers on relearning, Zhang et al. 2024 (random labels) and"
    " Gandikota et al. 2024 (ELM), each beside what this run measured."
    " Their models have one to seven billion numbers, and forget news, books or invented authors."
)
_PASSAGES = "95 % over passages"


def _title(name: str) -> str:
    from hooks.unlearning import METHODS

    return METHODS[name].label


def _of(result: Result, model: str, in_set: str, column: str) -> pd.Series | None:
    table = result.tables["passages"]
    rows = table[(table["model"] == model) & (table["set"] == in_set)]
    return rows.set_index("passage")[column] if len(rows) else None


def _kept_more(one: str, other: str) -> Callable[[Result], Measured]:
    """Whether one method keeps more of the passages to keep than another, both at the aim."""

    def measure(result: Result) -> Measured:
        first = _of(result, _title(one), c.KEPT, "exact")
        second = _of(result, _title(other), c.KEPT, "exact")
        if first is None or second is None:
            return NOT_MEASURED
        reached = result.tables["unlearning"].set_index("model")["reached"]
        _, (low, high) = mean_interval(100 * (first - second).to_numpy(float))
        both = bool(reached[_title(one)] and reached[_title(other)])
        said = f"{100 * first.mean():.0f} % against {100 * second.mean():.0f} % of first choice"
        return Measured(
            said if both else f"{said}; not both reached the aim",
            verdict_of([sign(low, high)]) if both else OPEN,
            _span(low, high),
        )

    return measure


def _span(low: float, high: float, unit: str = "points") -> str:
    return f"{_PASSAGES}: {low:+.0f} to {high:+.0f} {unit}".replace("-", "−")


def _prevents_verbatim(result: Result) -> Measured:
    """Whether most methods bring verbatim memory down to the reference's."""
    if v.reference_of(result) is None:
        return NOT_MEASURED
    rows = _criterion(result, "verbatim")
    reference = rows.loc[c.REFERENCE]
    mine = rows.loc[rows.index.isin(v.audited(result))]
    below = [bool(row["value"] <= reference["high"]) for _, row in mine.iterrows()]
    said = ", ".join(f"{model} {row['value']:.0f} %" for model, row in mine.iterrows())
    most = sum(below) > len(below) / 2
    return Measured(
        f"{said}; reference {reference['value']:.0f} %",
        verdict_of([most or None if sum(below) * 2 == len(below) else most]),
        f"reference at most {reference['high']:.0f} % ({_PASSAGES})",
    )


def _criterion(result: Result, name: str) -> pd.DataFrame:
    table = result.tables["audit"]
    return table[table["criterion"] == name].dropna(subset=["value"]).set_index("model")


def _leaks(result: Result) -> Measured:
    """Whether methods miss the reference's leakage, to either side."""
    rows = _criterion(result, "leak")
    mine = rows.loc[rows.index.isin(v.audited(result))]
    if mine.empty:
        return NOT_MEASURED
    apart = [bool(row["low"] > 0 or row["high"] < 0) for _, row in mine.iterrows()]
    said = ", ".join(f"{model} {row['value']:+.0f} %" for model, row in mine.iterrows())
    return Measured(
        said.replace("-", "−"),
        verdict_of([True if one else None for one in apart]),
        f"{sum(apart)} of {len(apart)} are apart from 0 ({_PASSAGES})",
    )


def _falls(way: str) -> Callable[[Result], Measured]:
    """Whether what is kept falls as more is forgotten."""

    def measure(result: Result) -> Measured:
        table = result.tables["folds"]
        rows = table[
            (table["way"] == way) & (table["criterion"] == "kept") & (table["model"] != c.REFERENCE)
        ].dropna(subset=["value"])
        if rows.empty:
            return NOT_MEASURED
        told, said = [], []
        for model, own in rows.groupby("model", sort=False):
            first, last = own.iloc[0], own.iloc[-1]
            apart = sign(first["low"] - last["high"], first["high"] - last["low"])
            told.append(apart)
            said.append(f"{model} {first['value']:.0f} to {last['value']:.0f} %")
        sure = f"intervals that do not meet ({_PASSAGES})"
        return Measured(", ".join(said), verdict_of(told), sure)

    return measure


def _relearns(result: Result) -> Measured:
    """Whether what was unlearned returns sooner than the reference learns it."""
    if v.reference_of(result) is None:
        return NOT_MEASURED
    table = result.tables["recovery"]
    rows = table[(table["trained_on"] == c.OWN) & table["model"].isin(v.audited(result))]
    rows = rows.dropna(subset=["excess"])
    if rows.empty:
        return NOT_MEASURED
    said = ", ".join(f"{row.model} {row.excess:+.0f}" for row in rows.itertuples())
    return Measured(
        f"points beyond the reference: {said}".replace("-", "−"),
        verdict_of([sign(row.low, row.high) for row in rows.itertuples()]),
        f"intervals apart from 0 ({_PASSAGES})",
    )


def _rounds_back(result: Result) -> Measured:
    """Whether 4 bits bring back what was unlearned."""
    rows, reference = result.tables["rounding"], v.reference_of(result)
    names = v.audited(result)
    found = {name: v.rounded_back(rows, name, 4, reference) for name in names}
    if not found or all(np.isnan(mean) for mean, _, _ in found.values()):
        return NOT_MEASURED
    said = ", ".join(f"{name} {mean:+.0f}" for name, (mean, _, _) in found.items())
    return Measured(
        f"points of first choice: {said}".replace("-", "−"),
        verdict_of([sign(low, high) for _, low, high in found.values()]),
        f"intervals apart from 0 ({_PASSAGES})",
    )


def _quality(result: Result) -> Measured:
    """Whether unlearned models can be told from the reference by truth ratios."""
    rows = _criterion(result, "forget_quality")
    mine = rows.loc[rows.index.isin(v.audited(result))]
    if mine.empty:
        return NOT_MEASURED
    said = ", ".join(f"{model} p {row['value']:.2f}" for model, row in mine.iterrows())
    n = int(mine["n"].max())
    told = [True if row["value"] < 0.05 else None for _, row in mine.iterrows()]
    return Measured(said, verdict_of(told), f"{n} questions: a large p may only mean few of them")


def _to_chance(result: Result) -> Measured:
    """Whether what is trained on random labels falls to chance."""
    rows = _reached(result, c.SPREADING, TRAINED)
    said = ", ".join(f"{row.task} {100 * row.after:.0f} %" for row in rows.itertuples())
    told = [bool(row.high >= 1) for row in rows.itertuples()]
    return Measured(f"{said} (chance {100 * CHANCE:.0f} %)", verdict_of(told), _QUESTIONS)


def _spreads(result: Result) -> Measured:
    """Whether forgetting reaches facts of the relation that were not trained on."""
    rows = _reached(result, c.SPREADING, HELD_OUT)
    gone = [f"{100 * row.forgotten:.0f} %".replace("-", "−") for row in rows.itertuples()]
    said = ", ".join(
        f"{task} {each} of the way" for task, each in zip(rows["task"], gone, strict=True)
    )
    told = [sign(row.low, row.high) for row in rows.itertuples()]
    return Measured(said, verdict_of(told), _QUESTIONS)


def _probes_solve(result: Result) -> Measured:
    """Whether probes tell answers as well after random labels as shuffled labels never do."""
    table = best_probes(result.tables["answer_probes"])
    rows = table[(table["method"] == LABELS) & (table["model"] == LABELS)]
    if rows.empty:
        return NOT_MEASURED
    said = ", ".join(f"{row.task} {100 * row.accuracy:.0f} %" for row in rows.itertuples())
    told = [
        bool(row.low > 0.5 and row.accuracy > row.shuffled_high)
        or (None if row.high > 0.5 else False)
        for row in rows.itertuples()
    ]
    return Measured(f"{said} (chance 50 %)", verdict_of(told), _QUESTIONS)


def _erased(result: Result) -> Measured:
    """Whether a relation erased by ELM is at chance, facts that were not shown as well."""
    rows = _reached(result, c.CONCEPT, HELD_OUT)
    said = ", ".join(f"{row.task} {100 * row.after:.0f} %" for row in rows.itertuples())
    told = [bool(row.high >= 1) for row in rows.itertuples()]
    return Measured(f"{said} (chance {100 * CHANCE:.0f} %)", verdict_of(told), _QUESTIONS)


def _reached(result: Result, part: str, group: str) -> pd.DataFrame:
    table = result.tables[part]
    own = table[(table["group"] == group) & ~table["model"].isin(c.BESIDE)]
    return own.dropna(subset=["forgotten"])  # NaN where no more was known than chance


_QUESTIONS = "95 % over questions"
_METHODS, _MORE, _ATTACKS = "Methods against each other", "More to forget", "Attacks"
_FACTS = "Facts and concepts"
CLAIMS = [
    Claim("At equal forgetting NPO keeps more than gradient ascent", "gradient ascent collapses"
          " exponentially faster (Zhang et al. 2024)", _kept_more("npo", "ga"), _METHODS,
          "unlearning"),
    Claim("A retain term keeps what should stay", "GA_GDR against GA (MUSE)",
          _kept_more("graddiff", "ga"), _METHODS, "unlearning"),
    Claim("Most methods take verbatim memory down to the reference's", "most of eight (MUSE)",
          _prevents_verbatim, _METHODS, "audit"),
    Claim("Methods leak: the passages stand out, or fit worse than unseen text",
          "all of eight but one, on books (MUSE)", _leaks, _METHODS, "audit"),
    Claim("Truth ratios tell unlearned models from the reference", "p below 0.05 (TOFU)", _quality,
          _METHODS, "answers"),
    Claim("The more is forgotten at once, the less is kept", "utility falls (MUSE)",
          _falls("at once"), _MORE, "folds"),
    Claim("The more is forgotten one after another, the less is kept", "utility falls (MUSE)",
          _falls("one after another"), _MORE, "folds"),
    Claim("Relearning some passages brings others back, beyond what the reference learns",
          "88 % of the accuracy returns (2410.08827)", _relearns, _ATTACKS, "recovery"),
    Claim("Rounding to 4 bits brings passages back", "from 21 to 83 % of the knowledge"
          " (2410.16454)", _rounds_back, _ATTACKS, "rounding"),
    Claim("Random labels take the facts trained on to chance", "all tasks (2409.02228)", _to_chance,
          _FACTS, c.SPREADING),
    Claim("Forgetting spreads to facts of the task that are held out", "by task: wholly in"
          " entailment, not in questions of science (2409.02228)", _spreads, _FACTS, c.SPREADING),
    Claim("Linear probes still solve the task after random labels", "on all tasks (2409.02228)",
          _probes_solve, _FACTS, c.SPREADING),
    Claim("ELM takes a concept to chance, questions that were not shown as well", "near chance on"
          " WMDP (2410.02760)", _erased, _FACTS, c.CONCEPT),
]  # fmt: skip


def add_claims(result: Result) -> None:
    """Judge them all."""
    say_claims(result, CLAIMS, PAPER)
