"""What a run says of policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analyses.context.kv_memory.constants import (
    CONTROLS,
    ELSEWHERE,
    FULL,
    IN_VIEW,
    LEAST_RECALL,
    ORACLE,
    QUARTER,
    RANDOM,
    UNKNOWN,
    WHOLE,
    WITHOUT,
)
from analyses.context.kv_memory.thinned_tables import rate_of
from analyses.measures.statistics import mean_interval
from hooks.kv_cache.policies import BUILT_IN
from workbench.result import Finding
from workbench.wording import counted, percent, percent_span

if TYPE_CHECKING:
    from workbench.result import Result


def add_policies(
    result: Result,
    answers: pd.DataFrame,
    smearing: pd.DataFrame,
    turns: list[dict[str, Any]],
    name: str,
) -> None:
    """All sentences of the part `policies`."""
    budgets = sorted(b for b in answers["budget"].unique() if b < 1)
    quarter = min(budgets, key=lambda b: abs(b - QUARTER))
    _add_full(result, answers, name)
    for view, finding in ((UNKNOWN, "quarter"), (IN_VIEW, "in_view")):
        _add_best(result, answers, quarter, view, finding)
    _add_survival(result)
    _add_smearing(result, smearing)
    if turns:
        _add_turns(result, pd.DataFrame(turns), quarter)


def _add_full(result: Result, answers: pd.DataFrame, name: str) -> None:
    full = answers[answers["policy"] == FULL]
    rate = rate_of(full)
    says = (
        f"With its whole cache {name} answers {percent(rate['rate'])} of"
        f" {counted(len(full), 'question')} about {counted(full['context'].nunique(), 'text')}"
        f" word for word (95 %: {percent_span(rate['low'], rate['high'])})."
    )
    if rate["rate"] < LEAST_RECALL:
        says += " Where so little is recalled at all, little can be told of what may go."
    result.add(
        Finding("full", rate["rate"], says, unit="share of questions",
                interval=(rate["low"], rate["high"]))
    )  # fmt: skip


def best_policy(
    answers: pd.DataFrame, budget: float, view: str
) -> tuple[list[str], pd.DataFrame] | None:
    """The policy that keeps most, chosen on one half of the contexts and measured on the other,
    both ways: (the two choices, the answers of what was chosen on the halves that did not choose).
    One context chooses and is measured itself.
    """
    rows = answers[
        (answers["view"] == view)
        & (answers["budget"] == budget)
        & ~answers["policy"].isin([*CONTROLS, FULL])
    ]
    if rows.empty:
        return None
    contexts = np.sort(rows["context"].unique())
    halves = [contexts[::2], contexts[1::2]] if len(contexts) > 1 else [contexts, contexts]
    names, measured = [], []
    for choosing, other in (halves, halves[::-1]):
        on = rows[rows["context"].isin(choosing)].groupby("policy", sort=False)
        # Exact answers first; of policies alike in these, the likelier ones.
        order = on[["exact", "logprob"]].mean().sort_values(["exact", "logprob"])
        names.append(str(order.index[-1]))
        measured.append(rows[(rows["policy"] == names[-1]) & rows["context"].isin(other)])
    frame = pd.concat(measured if len(contexts) > 1 else measured[:1])
    return names, frame


def _add_best(
    result: Result, answers: pd.DataFrame, budget: float, view: str, finding: str
) -> None:
    best = best_policy(answers, budget, view)
    if best is None:
        return
    names, frame = best
    rate = rate_of(frame)
    blind = answers[(answers["view"] == UNKNOWN) & (answers["budget"] == budget)]
    beside = {
        word: rate_of(blind[blind["policy"] == policy])["rate"]
        for word, policy in (("random", RANDOM), ("oracle", ORACLE))
    }
    full = rate_of(answers[answers["policy"] == FULL])["rate"]
    who = names[0] if names[0] == names[1] else f"{names[0]} (on one half {names[1]})"
    when = (
        "chosen before the question is known"
        if view == UNKNOWN else "chosen with the question in view"
    )  # fmt: skip
    said = [f"the full cache gives {percent(full)}"]
    if beside["random"] == beside["random"]:
        said.insert(0, f"a random choice gives {percent(beside['random'])}")
    words = f" ({_in_words(names[0])})" if names[0] == names[1] else ""
    most = f"{who} keeps most{words}: {percent(rate['rate'])} of the questions are answered"
    if not rate["rate"]:
        most = "no policy keeps what is asked for: none of the questions is answered"
    says = (
        f"With {percent(budget)} of the cache, {when}, {most}"
        f" (95 %: {percent_span(rate['low'], rate['high'])}); {' and '.join(said)}."
    )
    if beside["oracle"] == beside["oracle"] and view == UNKNOWN:
        says += (
            f" Keeping just what is asked for, beside the first and newest tokens, would give"
            f" {percent(beside['oracle'])}."
        )
    values = {"value": rate["rate"], "full": full, "budget": budget, **beside}
    values = {key: value for key, value in values.items() if value == value}
    result.add(
        Finding(finding, values, says, unit="share of questions",
                interval={"value": (rate["low"], rate["high"])})
    )  # fmt: skip


def _in_words(name: str) -> str:
    """What a policy keeps, without the paper."""
    known = BUILT_IN.get(name)
    return known.about.partition(" (")[0] if known is not None else "a policy of another package"


def _add_survival(result: Result) -> None:
    row = result.tables["survival"].iloc[0]
    if not row["n_kept"] or not row["n_evicted"]:
        return
    says = (
        "Where at least half of the heads keep some of the answer, it is given in"
        f" {percent(row['kept'])} of cases"
        f" (95 %: {percent_span(row['kept_low'], row['kept_high'])}); where fewer do, in"
        f" {percent(row['evicted'])} ({percent_span(row['evicted_low'], row['evicted_high'])})."
        " Of all policies and budgets, over questions that the full cache answers."
    )
    values = {"kept": float(row["kept"]), "evicted": float(row["evicted"])}
    spread = {word: (float(row[f"{word}_low"]), float(row[f"{word}_high"])) for word in values}
    result.add(Finding("survival", values, says, unit="share of questions", interval=spread))


def _add_smearing(result: Result, smearing: pd.DataFrame) -> None:
    """Only the evidence is gone: does later text carry the answer?"""
    rates = {kept: rate_of(smearing[smearing["kept"] == kept]) for kept in (WHOLE, WITHOUT)}
    wide = smearing.pivot_table(
        index=["context", "question"], columns="kept", values="logprob", sort=False
    )
    groups = wide.index.get_level_values("context").to_numpy()
    lost, (low, high) = mean_interval((wide[WHOLE] - wide[WITHOUT]).to_numpy(), groups)
    says = (
        f"Taking only the evidence itself out of the cache leaves {percent(rates[WITHOUT]['rate'])}"
        f" of the answers, of {percent(rates[WHOLE]['rate'])}, and costs {lost:.1f} nats"
    )
    values = {"rate": rates[WITHOUT]["rate"], "whole": rates[WHOLE]["rate"], "nats": lost}
    if ELSEWHERE in wide:
        null = float((wide[WHOLE] - wide[ELSEWHERE]).mean())
        values["elsewhere"] = null
        says += f"; as many tokens elsewhere cost {null:.1f}"
    if rates[WHOLE]["rate"] < LEAST_RECALL:
        says += "."
    elif rates[WITHOUT]["rate"] > rates[WHOLE]["rate"] / 2:
        says += ". Later tokens carry much of it, so that what survives says little."
    else:
        says += ". What is asked for is where it was written, not in the tokens behind it."
    result.add(
        Finding("smearing", values, says.replace("-", "−"), unit="share of questions",
                interval={"nats": (low, high)})
    )  # fmt: skip


def _add_turns(result: Result, turns: pd.DataFrame, budget: float) -> None:
    """A cache thinned out for one question, and the next questions asked of it."""
    here = turns[turns["budget"] == budget]
    first, later = here[here["turn"] == 1], here[here["turn"] > 1]
    one, other = rate_of(first), rate_of(later)
    nats = float(first["logprob"].mean() - later["logprob"].mean())
    slope = float(np.polyfit(here["turn"], here["logprob"], 1)[0])
    says = (
        f"A cache thinned out to {percent(budget)} with one question in view answers that one in"
        f" {percent(one['rate'])} of cases, and the next questions about the same text in"
        f" {percent(other['rate'])} (95 %: {percent_span(other['low'], other['high'])});"
        f" {nats:+.1f} nats for the one in view, {slope:+.2f} nats a turn."
    )
    values = {"in_view": one["rate"], "later": other["rate"], "nats": nats, "slope": slope}
    spread = {"in_view": (one["low"], one["high"]), "later": (other["low"], other["high"])}
    result.add(
        Finding("turns", values, says.replace(" -", " −"), unit="share of questions",
                interval=spread)
    )  # fmt: skip
