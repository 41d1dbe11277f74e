"""Part `kinds`: what kind of text comes out word for word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analyses.measures import evidence_kind_scores as scores
from analyses.measures.evidence_kinds import KINDS, texts
from analyses.measures.statistics import difference, rate_interval, rates_apart, share_interval
from workbench.cost import Cost
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    from analyses.weights.memorized_or_understood.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

KNOWN, GENERATED = "known", "generated"
_WINDOWS = 1.8  # of a text, on average


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """Of reading known and generated texts of every kind once."""
    windows = 2 * len(KINDS) * params.kind_texts * _WINDOWS
    return Cost(windows * (scores.PREFIX + scores.SUFFIX), windows / 16)


def run(model: InstrumentedModel, params: Params, progress: Progress, result: Result) -> None:
    """Adds the tables `kinds` and `kind_windows`."""
    every = [text for kind in KINDS for text in texts(kind, params.kind_texts, params.seed)]
    read = scores.measure(model, every, progress)
    windows = pd.DataFrame({
        "kind": [every[n].kind for n in read.text],
        "text": [every[n].name for n in read.text],
        "source": [KNOWN if every[n].is_known else GENERATED for n in read.text],
        "exact": read.exact,
        "right": read.right,
        "logprob": read.logprob,
        "given": read.given,
        "said": read.said,
    })  # fmt: skip
    result.tables["kind_windows"] = windows
    result.tables["kinds"] = table = _by_kind(windows)
    _say(result, table)


def _by_kind(windows: pd.DataFrame) -> pd.DataFrame:
    """Rates of each kind, windows of one text going together."""
    rows = []
    for (kind, source), part in windows.groupby(["kind", "source"], sort=False):
        names = part["text"].to_numpy()
        low, high = rate_interval(part["exact"].to_numpy(), names)
        right, (right_low, right_high) = share_interval(part["right"].to_numpy(), names)
        rows.append({
            "kind": kind, "source": source, "exact": float(part["exact"].mean()), "low": low,
            "high": high, "right": right, "right_low": right_low, "right_high": right_high,
            "logprob": float(part["logprob"].mean()), "texts": part["text"].nunique(),
            "n": len(part),
        })  # fmt: skip
    table = pd.DataFrame(rows)
    for kind in table["kind"].unique():
        one, other = (windows[(windows["kind"] == kind) & (windows["source"] == source)]
                      for source in (KNOWN, GENERATED))  # fmt: skip
        apart, (low, high) = difference(
            one["right"].to_numpy(), other["right"].to_numpy(),
            (one["text"].to_numpy(), other["text"].to_numpy()),
        )  # fmt: skip
        at = (table["kind"] == kind) & (table["source"] == KNOWN)
        table.loc[at, ["more", "more_low", "more_high"]] = apart, low, high
    return table


def _say(result: Result, table: pd.DataFrame) -> None:
    known = table[table["source"] == KNOWN].set_index("kind")
    made = table[table["source"] == GENERATED].set_index("kind")
    order = known["exact"].sort_values(ascending=False, kind="stable").index
    parts, told, values = [], [], {}
    for kind in order:
        one, other = known.loc[kind], made.loc[kind]
        parts.append(f"{kind} {percent(one['exact'])} (generated {percent(other['exact'])})")
        values[kind], values[f"{kind}_generated"] = float(one["exact"]), float(other["exact"])
        low, _ = rates_apart(one["exact"], one["texts"], other["exact"], other["texts"])
        if low > 0:
            told.append(kind)
    lead = (
        f"Recited more than texts like them: {', '.join(told)}"
        if told
        else "No kind of text is recited more often than generated texts of its kind"
    )
    says = (
        f"{lead}. Of windows of {scores.PREFIX} tokens the next {scores.SUFFIX} come out word for"
        f" word in: {', '.join(parts)}; {counted(int(table['n'].sum()), 'window')} in all."
    )
    intervals = {kind: (known.loc[kind, "low"], known.loc[kind, "high"]) for kind in order}
    result.add(Finding("kinds", values, says, unit="share of windows", interval=intervals))
    best = known["more"].idxmax()
    row = known.loc[best]
    result.add(
        Finding(
            "kind_tokens", {kind: float(known.loc[kind, "more"]) for kind in order},
            f"By single tokens the gap is widest in {best}: {percent(row['right'])} of them are the"
            f" likeliest, {percent(row['more'], sign=True)} more than in generated ones (95 %:"
            f" {percent(row['more_low'], sign=True)} to {percent(row['more_high'], sign=True)}).",
            unit="share of tokens",
        )
    )  # fmt: skip
