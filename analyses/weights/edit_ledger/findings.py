"""From tables to findings: what the edits did, in sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.statistics import rates_apart, share_interval
from analyses.weights.edit_ledger import constants as c
from analyses.weights.edit_ledger.rates import hits, with_knowledge
from workbench.result import Finding, Result
from workbench.wording import counted, percent, percent_span

if TYPE_CHECKING:
    import pandas as pd

FEW = 20
"""Facts below which differences between methods are not told."""


def _of(table: pd.DataFrame, method: str) -> pd.Series | None:
    rows = table[table["method"] == c.METHODS.get(method, method)]
    return rows.iloc[0] if len(rows) else None


def _edited(result: Result) -> pd.DataFrame:
    """The methods without the nulls."""
    table = result.tables["methods"]
    return table[~table["method"].isin([c.METHODS[null] for null in c.NULLS])]


def _beside(result: Result, name: str) -> str:
    """What the nulls get."""
    table = result.tables["methods"]
    said = [
        f"{row['method']} {percent(row[name])}"
        for null in c.NULLS
        if (row := _of(table, null)) is not None and row[name] == row[name]
    ]
    return f"; beside that {', '.join(said)}" if said else ""


def _rates(result: Result, finding: str, name: str, begins: str) -> None:
    """A finding with one rate for each method, the best first."""
    table = _edited(result).dropna(subset=[name])
    if table.empty:
        return
    table = table.sort_values(name, ascending=False, kind="stable")
    spans = {
        row["method"]: (float(row[f"{name}_low"]), float(row[f"{name}_high"]))
        for _, row in table.iterrows()
    }
    single = result.tables["answers"]["fact"].nunique() == 1
    counts = sorted({int(n) for n in table[f"{name}_n"]})
    n = " to ".join(counted(n, "question") if n == counts[-1] else f"{n:,}" for n in counts[-2:])
    said = {
        row["method"]: f"{row['method']} {percent(row[name])}"
        + ("" if single else f" ({percent_span(*spans[row['method']])})")
        for _, row in table.iterrows()
    }
    listed = _listed(said, dict(zip(table["method"], table[name], strict=True)))
    intervals = "" if single else ", with 95 % intervals"
    result.add(
        Finding(
            finding,
            {row["method"]: float(row[name]) for _, row in table.iterrows()},
            f"{begins} ({n}{intervals}): {listed}{_beside(result, name)}.",
            unit=_UNITS[finding],
            interval=spans,
        )
    )


_SAID = 4
"""Methods that a sentence says one by one; the table has all."""


def _listed(
    said: dict[str, str], rates: dict[str, float], spelt: Callable[[float], str] | None = None
) -> str:
    """The best ones and the bar to beat, one by one; the others together.

    Args:
        spelt: how a number is written; None is as a percentage.
    """
    if len(said) <= _SAID + 1:  # one method left over is named as shortly as counted
        return ", ".join(said.values())
    bar = c.METHODS["in-context"]
    first = list(said)[: _SAID - 1]
    first += [bar] if bar in said and bar not in first else []
    rest = [rates[method] for method in said if method not in first]
    if spelt is not None:
        others = " to ".join(dict.fromkeys([spelt(min(rest)), spelt(max(rest))]))
    else:
        others = percent_span(min(rest), max(rest)) if min(rest) < max(rest) else percent(rest[0])
    listed = ", ".join(said[method] for method in first)
    return f"{listed}, {counted(len(rest), 'other')} {others}" if rest else listed


_UNITS = {
    "holds": "share of paraphrases",
    "sentence": "share of facts",
    "neighbours": "share of questions",
    "reverts": "share of questions",
    "two_steps": "share of questions",
}


def add_single(result: Result, known_elsewhere: int) -> None:
    """What edits one at a time did."""
    answers = result.tables["answers"]
    facts = int(answers["fact"].nunique())
    _rates(
        result, "holds", "in_other_words",
        "Asked in other words, which the edit never saw, the new answer comes",
    )  # fmt: skip
    _rates(result, "sentence", "accuracy", "The edited sentence gets the new answer")
    _rates(
        result, "neighbours", "neighbours_unmoved",
        "Neighbours that the edit should leave alone keep their answer",
    )  # fmt: skip
    _rates(result, "reverts", "reversion", "Asked in other words, the old answer comes back")
    for name in ("onward", "behind"):
        if _edited(result)[name].notna().any():
            _rates(
                result, "two_steps", name,
                "What follows from the fact in a second step follows the edit",
            )  # fmt: skip
            break
    _add_elsewhere(result, known_elsewhere)
    _add_writing(result)
    edits = result.tables["edits"]
    exact = int(edits["undone"].sum())
    result.add(
        Finding(
            "undone",
            float(exact),
            f"After undoing, the logits are those of the untouched model, bit for bit, for {exact}"
            f" of {counted(len(edits), 'edit')}.",
            unit="edits",
        )
    )
    if facts < FEW:
        result.add(
            Finding(
                "too_few",
                float(facts),
                f"{counted(facts, 'fact')} {'were' if facts > 1 else 'was'} edited: enough to see"
                f" what an edit does, too few to rank methods (from about {FEW}).",
                unit="facts",
            )
        )
    _add_unknown(result)
    _add_popularity(result)
    if set(c.ROBUST) & set(answers["kind"]):
        _add_robust(result)


def _add_unknown(result: Result) -> None:
    """A typed fact may be none that the model knows."""
    answers = result.tables["answers"]
    asked = answers[(answers["method"] == c.METHODS["none"]) & (answers["kind"] == c.PROMPT)]
    unknown = asked[~asked["gives_old"]]
    if unknown.empty:
        return
    said = "; ".join(
        f"asked “{row.prompt}” it goes on with “{row.says}”, not with “{row.old}”"
        for row in unknown.itertuples()
    )
    result.add(
        Finding(
            "not_known",
            float(len(unknown)),
            f"Before the edit the model does not say the old answer: {said}. So only what becomes"
            " of the new answer says something.",
            unit="facts",
        )
    )


def _add_elsewhere(result: Result, known_elsewhere: int) -> None:
    table = _edited(result)
    weights = table[table["method"] != c.METHODS["in-context"]]
    if weights.empty:
        return
    worst = weights.loc[weights["loss_change"].idxmax()]
    null = _of(result.tables["methods"], "random-change")
    beside = "" if null is None else f"; a random change of the same size {_nats(null)}"
    disabled = int(table["disabled"].sum())
    broken = (
        f" {counted(disabled, 'edit')} disabled the model." if disabled else " No edit disabled it."
    )
    others = (
        f" At least {percent(weights['known'].min())} of"
        f" {counted(known_elsewhere, 'known fact')} of other relations are still answered rightly."
        if known_elsewhere
        else ""
    )
    result.add(
        Finding(
            "elsewhere",
            {row["method"]: float(row["loss_change"]) for _, row in weights.iterrows()},
            f"On neutral text an edit costs at most {_nats(worst)} per token"
            f" ({worst['method']}){beside}.{others}{broken}",
            unit="nats per token",
            interval={
                row["method"]: (float(row["loss_change_low"]), float(row["loss_change_high"]))
                for _, row in weights.iterrows()
                if row["loss_change_low"] == row["loss_change_low"]
            }
            or None,
        )
    )


def _add_writing(result: Result) -> None:
    """Consistency: what is written about the subject, beside texts about either answer."""
    table = _edited(result).dropna(subset=["consistency"])
    bare = _of(result.tables["methods"], "none")
    if table.empty or bare is None:
        return
    table = table.sort_values("consistency", ascending=False, kind="stable")
    said = {
        row["method"]: f"{row['method']} {row['consistency']:.2f}" for _, row in table.iterrows()
    }
    rates = dict(zip(table["method"], table["consistency"], strict=True))
    spans = {
        row["method"]: (float(row["consistency_low"]), float(row["consistency_high"]))
        for _, row in table.iterrows()
        if row["consistency_low"] == row["consistency_low"]
    }
    result.add(
        Finding(
            "writing",
            {method: float(rate) for method, rate in rates.items()},
            "What the model writes about the subject is like texts about the new answer (cosine"
            f" of words, 1 is alike): {_listed(said, rates, '{:.2f}'.format)}; without an edit"
            f" {bare['consistency']:.2f}.",
            unit="cosine",
            interval=spans or None,
        )
    )


def _nats(row: Any) -> str:
    return f"{row['loss_change']:+.3f} nats".replace("-", "−")


def _add_popularity(result: Result) -> None:
    """Ma et al. 2024: popular facts are edited worse."""
    if "popularity" not in result.tables:
        return
    answers = with_knowledge(result.tables["answers"])
    facts = result.tables["facts"]
    rank = facts["popularity"].rank(method="first")
    popular = set(facts["fact"][rank > len(facts) / 2])
    chosen = [row["method"] for _, row in _edited(result).iterrows()]
    mine = answers[answers["method"].isin(chosen)]
    right, groups = hits(mine, "in_other_words")
    if not len(right):
        return
    high = np.isin(groups, list(popular))
    gap = float(right[~high].mean() - right[high].mean())
    # Facts are what was drawn: several methods on one fact are no further facts.
    sizes = [len(set(groups[part])) for part in (~high, high)]
    low, top = rates_apart(right[~high].mean(), sizes[0], right[high].mean(), sizes[1])
    told = low > 0 or top < 0
    word = "no difference is shown" if not told else "they differ"
    result.add(
        Finding(
            "less_known",
            gap,
            "Facts about the less known half of the subjects take an edit in other words in"
            f" {percent(right[~high].mean())}, about the better known half in"
            f" {percent(right[high].mean())} ({_points(gap, low, top)}): {word}.",
            unit="share of paraphrases",
            interval=(low, top),
        )
    )


def _points(gap: float, low: float, high: float) -> str:
    said = [f"{round(100 * x):+d}".replace("-", "−") for x in (gap, low, high)]
    return f"{said[0]} points, 95 %: {said[1]} to {said[2]}"


def _add_robust(result: Result) -> None:
    answers = with_knowledge(result.tables["answers"])
    chosen = [row["method"] for _, row in _edited(result).iterrows()]
    mine = answers[answers["method"].isin(chosen)]
    plain, groups = hits(mine, "accuracy")
    untouched = answers[answers["method"] == c.METHODS["none"]]
    values, spans, words = {}, {}, []
    for kind in c.ROBUST:
        name = kind.split()[0]
        right, facts = hits(mine, f"{name}_holds")
        back, _ = hits(mine, f"{name}_reverts")
        anyway, _ = hits(untouched, f"{name}_holds")
        if len(right):
            share, bounds = share_interval(right, facts)
            values[name], spans[name] = share, bounds
            words.append(
                f"{kind} {percent(share)} (without an edit {percent(anyway.mean())}), and the old"
                f" one in {percent(back.mean())}"
            )
    share, bounds = share_interval(plain, groups)
    result.add(
        Finding(
            "asked_otherwise",
            {"plain": share, **values},
            f"Over all methods the plain sentence gets the new answer in {percent(share)};"
            f" {'; '.join(words)}.",
            unit="share of questions",
            interval={"plain": bounds, **spans},
        )
    )


def add_layers(result: Result, layer: int) -> None:
    """Which layer is best, chosen on half of the facts and measured on the others."""
    table = result.tables["layers"]
    choosing = table[table["facts"] == "choosing"]
    held = table[table["facts"] == "held out"]
    best = int(choosing.loc[choosing["score"].idxmax(), "layer"])
    row = held[held["layer"] == best]
    mine = held[held["layer"] == layer]
    says = f"Layer {best} is best for r-ROME on the facts that choose"
    if len(row):
        at = row.iloc[0]
        span = percent_span(at["in_other_words_low"], at["in_other_words_high"])
        says += (
            f"; on {counted(int(at['n']), 'held-out fact')} it gets {percent(at['in_other_words'])}"
            f" in other words (95 %: {span})"
        )
    if len(mine) and best != layer:
        at = mine.iloc[0]
        says += f", layer {layer}, which is edited here, {percent(at['in_other_words'])}"
    result.add(Finding("best_layer", float(best), says + ".", unit="layer"))
