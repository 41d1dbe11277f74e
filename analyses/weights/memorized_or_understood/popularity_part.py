"""Part `popularity`: whether it is popular facts that are known, and when looking up pays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.measures import evidence_popularity as popularity
from analyses.measures.statistics import sign, wilson
from analyses.weights.memorized_or_understood.evidence_params import relations_of
from analyses.weights.memorized_or_understood.popularity_schema import BANDS
from workbench.cost import Cost
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    from analyses.weights.memorized_or_understood.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

_TOKENS = 115  # of a question closed-book, and behind two texts
_FEWEST = 4  # facts that are known, and that are not


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """Of three questions for every fact."""
    n = len(relations_of(params.popularity_relations)) * params.popularity_facts
    return Cost(_TOKENS * n, 3 * n / 8)


def run(model: InstrumentedModel, params: Params, progress: Progress, result: Result) -> None:
    """Adds the tables `popularity_facts`, `popularity_grid`, `popularity_slopes` and
    `retrieval`.
    """
    rng = np.random.default_rng(params.seed)
    relations = relations_of(params.popularity_relations)
    rows = []
    for number, relation in enumerate(relations):
        part = progress.subprogress(number / len(relations), (number + 1) / len(relations))
        some = popularity.popular_facts(relation, params.popularity_facts, rng)
        right = popularity.read(model, relation, some, rng, part)
        for at, fact in enumerate(some):
            rows.append({
                "relation": relation.name, "subject": fact.subject, "answer": fact.answer,
                "popularity": float(fact.popularity or 0), "counted_in": relation.popularity,
                **{name: bool(values[at]) for name, values in right.items()},
            })  # fmt: skip
    table = pd.DataFrame(rows)
    ranks = table.groupby("relation")["popularity"].rank(pct=True)
    table["band"] = [BANDS[min(2, int(rank * 3 - 1e-9))] for rank in ranks]
    result.tables["popularity_facts"] = table
    result.tables["popularity_grid"] = _grid(table)
    result.tables["popularity_slopes"] = popularity.slopes(table, params.seed)
    found = popularity.hybrid(table, params.retrieval_quality, params.seed)
    result.tables["retrieval"] = _policies(found)
    result.tables["retrieval_thresholds"] = pd.DataFrame(
        [{"relation": name, "first": a, "second": b} for name, (a, b) in found.thresholds.items()]
    )
    _say_popularity(result, table, params.seed)
    _say_retrieval(result, found, params.retrieval_quality)


def _grid(table: pd.DataFrame) -> pd.DataFrame:
    """Accuracy by relation and third of popularity; relations from the least to the best known."""
    known = table.groupby("relation")[popularity.NONE].mean().sort_values(kind="stable")
    rows = []
    for relation in known.index:
        for band in BANDS:
            part = table[(table["relation"] == relation) & (table["band"] == band)]
            if part.empty:
                continue
            row: dict[str, object] = {"relation": relation, "band": band, "n": len(part)}
            for name in (popularity.NONE, popularity.RIGHT, popularity.WRONG):
                row[name] = float(part[name].mean())
            low, high = wilson(int(part[popularity.NONE].sum()), len(part))
            rows.append({**row, "low": low, "high": high})
    return pd.DataFrame(rows)


def _policies(found: popularity.Hybrid) -> pd.DataFrame:
    rows = [{"policy": name, "mean": mean, "low": low, "high": high}
            for name, (mean, low, high) in found.accuracy.items()]  # fmt: skip
    return pd.DataFrame(rows)


def _say_popularity(result: Result, table: pd.DataFrame, seed: int) -> None:
    known = table[popularity.NONE]
    shares = {band: float(known[table["band"] == band].mean()) for band in BANDS}
    values = {band.replace(" ", "_"): share for band, share in shares.items()}
    auc, low, high = popularity.known_by_popularity(table, seed)
    if auc != auc or min(int(known.sum()), int((~known).sum())) < _FEWEST:
        says = (
            f"Of {counted(len(table), 'fact')} {int(known.sum())} are known: too few, or too few"
            " are not, in any one relation, to say whether popular ones are."
        )
        result.add(Finding("popularity", values, says, unit="share of facts"))
        return
    lead = {
        True: "It is popular facts that are known",
        False: "It is unpopular facts that are known",
        None: "Whether popular facts are known more often is not told apart",
    }[sign(low, high, at=0.5)]
    says = (
        f"{lead}: {percent(shares[BANDS[0]])} of the least popular third of each relation,"
        f" {percent(shares[BANDS[1]])} of the middle, {percent(shares[BANDS[2]])} of the most"
        f" popular ({counted(len(table), 'fact')}). Of one relation's facts, a known one is more"
        f" popular than one that isn't with probability {auc:.2f} (95 %: {low:.2f} to {high:.2f};"
        " .5 is chance)."
    )
    result.add(
        Finding("popularity", {**values, "auc": auc}, says, unit="share of facts, probability",
                interval={"auc": (low, high)})
    )  # fmt: skip


def _say_retrieval(result: Result, found: popularity.Hybrid, quality: float) -> None:
    accuracy = {name: value for name, (value, _, _) in found.accuracy.items()}
    gain, low, high = found.gain
    lead = {
        True: "Looking up only what is unpopular pays",
        False: "Looking up only what is unpopular costs right answers",
        None: "Whether looking up only what is unpopular pays more than one rule for all is not"
        " told apart",
    }[sign(low, high)]
    best = max((popularity.NEVER, popularity.ALWAYS), key=accuracy.__getitem__)
    says = (
        f"{lead}: with thresholds chosen on the other half of each relation's facts"
        f" {percent(accuracy[popularity.THRESHOLD])} come out right, {percent(gain, sign=True)}"
        f" against {best} looking up (95 %: {percent(low, sign=True)} to"
        f" {percent(high, sign=True)}). Never {percent(accuracy[popularity.NEVER])}, always"
        f" {percent(accuracy[popularity.ALWAYS])}, an oracle, who knows each time which is right,"
        f" {percent(accuracy[popularity.ORACLE])}, if {percent(quality)} of the texts found are"
        " right."
    )
    result.add(
        Finding("retrieval", {**accuracy, "gain": gain}, says, unit="share of facts",
                interval={"gain": (low, high)})
    )  # fmt: skip
