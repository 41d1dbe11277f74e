"""From tables to sentences: facts forgotten by random labels, and a concept erased."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.statistics import mean_interval
from analyses.weights.unlearning_audit import constants as c
from analyses.weights.unlearning_audit.fact_groups import (
    CHANCE,
    ELM,
    GROUPS,
    HELD_OUT,
    LABELS,
    LEAST,
    OTHERS,
    TRAINED,
)
from workbench.result import Finding, Result

if TYPE_CHECKING:
    import pandas as pd


def forgotten(table: pd.DataFrame) -> pd.DataFrame:
    """By method, relation trained on, model and group: questions right before and after, and how
    much of the way to chance that is.

    Returns:
        Rows with `method`, `task`, `model`, `group`, `before` and `after` (shares), `forgotten`
        (share of the way from before to chance; NaN where there is none) with its 95 % interval
        over questions (`low`, `high`), and `n`.
    """
    import pandas as pd

    keys = ["method", "task", "group"]
    rows: list[dict[str, Any]] = []
    for (method, task, group), own in table.groupby(keys, sort=False):
        wide = own.pivot(index=["relation", "subject"], columns="model", values="chosen")
        before = wide[c.ORIGINAL].astype(float)
        span = float(before.mean()) - CHANCE
        for model in dict.fromkeys(own["model"]):
            if model == c.ORIGINAL:
                continue
            after = wide[model].astype(float)
            mean, (low, high) = mean_interval((before - after).to_numpy(float))
            scale = 1 / span if span > 0 else np.nan
            rows.append(
                {
                    "method": method, "task": task, "model": model, "group": group,
                    "before": float(before.mean()), "after": float(after.mean()),
                    "forgotten": mean * scale, "low": low * scale, "high": high * scale,
                    "n": len(wide),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def best_probes(table: pd.DataFrame) -> pd.DataFrame:
    """Of each method, relation and model the layer whose probe tells most answers in the original,
    so that none is chosen by what is left.
    """
    before = table[table["model"] == c.ORIGINAL]
    best = before.loc[before.groupby(["method", "task"])["accuracy"].idxmax()]
    return table.merge(best[["method", "task", "layer"]], on=["method", "task", "layer"])


def add_all(result: Result) -> None:
    """Findings of the parts `spreading` and `concept`."""
    if "facts" not in result.tables:
        known = result.provenance.notes["facts"]
        says = f"Nothing is told of spreading: of no relation {LEAST} facts are {known}."
        result.add(Finding("too_few_facts", 0.0, says, unit="relations"))
        return
    reached = forgotten(result.tables["facts"])
    for method, name, add in ((LABELS, c.SPREADING, _add_spread), (ELM, c.CONCEPT, _add_concept)):
        own = reached[reached["method"] == method].drop(columns="method")
        if len(own):
            result.tables[name] = own.reset_index(drop=True)
            add(result)
    _add_inside(result)


def _percent(row: Any) -> str:
    """Of the way to chance; there is none where no more is right before than chance."""
    if np.isnan(row.forgotten):
        return "cannot be told"
    said = f"{100 * row.forgotten:.0f} % ({100 * row.low:.0f} to {100 * row.high:.0f})"
    return said.replace("-", "−")


def _add_spread(result: Result) -> None:
    table = result.tables[c.SPREADING]
    own, null = (table[table["model"] == name] for name in (LABELS, c.RANDOM))
    said = {
        group: ", ".join(
            f"{row.task} {_percent(row)}" for row in own[own["group"] == group].itertuples()
        )
        for group in GROUPS
    }
    held = own[own["group"] == HELD_OUT].set_index("task")
    result.add(
        Finding(
            "spread",
            {str(task): 100 * float(row["forgotten"]) for task, row in held.iterrows()},
            "After random labels on half the facts of a relation so much of the other half is"
            f" forgotten, of the way to chance: {said[HELD_OUT]}.",
            unit="percent",
            interval={
                str(task): (100 * float(row["low"]), 100 * float(row["high"]))
                for task, row in held.iterrows()
            },
        )
    )
    trained = own[own["group"] == TRAINED]
    others = f"; of other relations, after {said[OTHERS]}" if said[OTHERS] else ""
    largest = null["forgotten"].max()
    null_says = f" A random change of equal size takes {100 * largest:.0f} % at most."
    result.add(
        Finding(
            "spread_beside",
            {str(row.task): 100 * float(row.forgotten) for row in trained.itertuples()},
            f"Of the {int(trained['n'].max())} facts trained on: {said[TRAINED]}{others} (95 % over"
            " questions)." + ("" if np.isnan(largest) else null_says.replace("-", "−")),
            unit="percent",
        )
    )


def _add_concept(result: Result) -> None:
    table, erased = result.tables[c.CONCEPT], result.tables["erased"]
    own = table[table["model"] == ELM]
    measured = erased[erased["method"] == ELM].set_index(["task", "model"])
    said = []
    for task, rows in own.groupby("task", sort=False):
        by = {row.group: row for row in rows.itertuples()}
        after, before = measured.loc[(task, ELM)], measured.loc[(task, c.ORIGINAL)]
        words = (
            f"{task}: right of four {100 * by[TRAINED].after:.0f} % of the facts shown and"
            f" {100 * by[HELD_OUT].after:.0f} % of others (before {100 * by[TRAINED].before:.0f}"
            f" and {100 * by[HELD_OUT].before:.0f} %; chance {100 * CHANCE:.0f} %); what it says"
            f" {after['fluency']:.1f} nats per token unlikely to the original (before"
            f" {before['fluency']:.1f})"
        )
        if OTHERS in by:
            words += (
                f"; other relations {100 * by[OTHERS].after:.0f} % right (before"
                f" {100 * by[OTHERS].before:.0f} %)"
            )
        words += f", prose {after['neutral'] - before['neutral']:+.2f} nats"
        said.append(words if after["reached"] else f"{words}; the aim was missed")
    held = own[own["group"] == HELD_OUT].set_index("task")
    result.add(
        Finding(
            "concept",
            {str(task): 100 * float(row["after"]) for task, row in held.iterrows()},
            f"ELM erases a relation as a concept. {'. '.join(said).replace(' -', ' −')}. Its"
            " benchmarks and searched prompts are not part of this.",
            unit="percent right",
        )
    )


def _add_inside(result: Result) -> None:
    table = best_probes(result.tables["answer_probes"])
    said, values = [], {}
    for (method, task), rows in table.groupby(["method", "task"], sort=False):
        by = rows.set_index("model")
        now = by.loc[method]
        values[f"{method}, {task}"] = 100 * float(now["accuracy"])
        said.append(
            f"{task} after {method} {100 * now['accuracy']:.0f} % ({100 * now['low']:.0f} to"
            f" {100 * now['high']:.0f}; before {100 * by.loc[c.ORIGINAL, 'accuracy']:.0f} %, labels"
            f" shuffled {100 * now['shuffled']:.0f} %, at most {100 * now['shuffled_high']:.0f} %)"
        )
    result.add(
        Finding(
            "answers_inside",
            values,
            "A linear probe of the layer that told most in the original, trained on half of the"
            " relation's facts, tells the right answer from a wrong one on the other half (chance"
            f" 50 %): {'; '.join(said)}.",
            unit="percent",
        )
    )
