"""From rates to findings and their sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from analyses.context.knowledge_conflict import cases as made
from analyses.context.knowledge_conflict import headroom, held_out_eval
from analyses.context.knowledge_conflict.answer_rates import Rates
from analyses.context.knowledge_conflict.constants import OUTCOMES, Head
from analyses.context.knowledge_conflict.headroom import WINS
from analyses.measures import closed_book
from analyses.measures.statistics import sign
from workbench.result import Finding, Result
from workbench.selection import head_name
from workbench.wording import counted, percent


def add_known(result: Result, closed: closed_book.ClosedBook, model_name: str) -> None:
    import pandas as pd

    facts_ = closed.relation.facts
    result.tables["candidates"] = pd.DataFrame(
        {
            "subject": [f.subject for f in facts_],
            "answer": [f.answer for f in facts_],
            "generated": [text.strip() for text in closed.generated],
            "known": closed.known,
            "first_token_correct": closed.first_token,
        }
    )
    known, first = sum(closed.known), sum(closed.first_token)
    result.add(
        Finding(
            "known",
            {"value": known, "candidates": len(facts_), "first_token": first},
            f"Without context {model_name} gives {known} of"
            f" {counted(len(facts_), 'correct answer')} in full; {first} begin with the correct"
            " token. Only facts that are known in full get a conflict prompt.",
            unit="facts",
        )
    )


def base_rows(base: Mapping[str, Rates]) -> list[dict[str, Any]]:
    """Rows of the table `rates`: both halves, before anything is changed."""
    return [
        base[split].row(condition="no intervention", split=split)
        for split in (made.SELECT, made.HELD_OUT)
    ]


def add_base(result: Result, base: Mapping[str, Rates]) -> None:
    """What the unchanged model answers."""
    import pandas as pd

    result.tables["rates"] = pd.DataFrame(base_rows(base))
    unchanged = base[made.HELD_OUT]
    text = (
        f"On {counted(unchanged.n, 'held-out fact')} the model without intervention answers"
        f" {rates_in_words({o: unchanged[o] for o in OUTCOMES})}."
    )
    result.add(unchanged.finding("base", text))


def withhold_roles(result: Result, untold: Iterable[str]) -> None:
    """Effects are measured whatever the answers do; but a head gets no role where none can be
    proven.
    """
    heads = result.tables["heads"]
    heads.loc[heads["role"].isin(list(untold)), ["role", "rank"]] = ["", np.nan]


def add_undecided(result: Result, untold: Mapping[str, str], base: Mapping[str, Rates]) -> None:
    for group, why in untold.items():
        wanted, rates = WINS[group], base[made.SELECT]
        result.add(
            Finding(
                f"undetermined_{group}",
                {
                    "rate": rates[wanted],
                    "n": rates.n,
                    "could_change": rates.n - rates.counts[wanted],
                },
                f"Which heads keep the model from answering {headroom.TOWARD[wanted]} cannot be"
                f" told: {why}. So no {group} heads are selected, switched off or put on the dial."
                f" {headroom.advice(wanted)}",
                unit=f"share of facts of the select half answered {headroom.TOWARD[wanted]}",
                interval={"rate": rates.interval(wanted)},
            )
        )


def rates_in_words(rates: Mapping[str, float]) -> str:
    return (
        f"{percent(rates['memory'])} from memory, {percent(rates['context'])} from the context and"
        f" {percent(rates['other'])} with another answer"
    )


def add_pruned(
    result: Result, group: str, heads: Sequence[Head], before: Rates, after: Rates
) -> None:
    """What is answered without a group on facts that did not choose it, and whether that proves
    anything.
    """
    wanted = WINS[group]
    gain, (low, high) = headroom.gain(before, after, wanted)
    unproven = "" if sign(low, high) else " The interval includes zero: no effect is shown."
    finding = after.finding(
        f"prune_{group}",
        f"With the {counted(len(heads), f'{group} head')}"
        f" ({', '.join(head_name(*h) for h in heads)}) switched off it answers"
        f" {rates_in_words({o: after[o] for o in OUTCOMES})}: {100 * gain:+.0f} points"
        f" {headroom.TOWARD[wanted]} on the same facts (95 %: {100 * low:+.0f} to"
        f" {100 * high:+.0f}).{unproven}",
    )
    assert isinstance(finding.interval, dict)
    result.add(
        replace(
            finding,
            value={**finding.values, "gain": gain},
            interval={**finding.interval, "gain": (low, high)},
        )
    )


def add_random(result: Result, group: str, drawn: held_out_eval.RandomSets, after: Rates) -> None:
    """As many random heads as a group has, and how many of the sets do less than it."""
    wins = WINS[group]
    rates = {o: drawn.rate(o) for o in OUTCOMES}
    each = (drawn.outcomes == wins).mean(1)
    beaten = int((each < after[wins]).sum())
    mean, (low, high) = rates[wins]
    result.add(
        Finding(
            f"random_for_{group}",
            {
                **{o: rate for o, (rate, _) in rates.items()},
                "n": after.n,
                "sets": len(each),
                "beaten": beaten,
            },
            f"With {counted(drawn.k, 'random head')} switched off it answers {percent(mean)}"
            f" {headroom.TOWARD[wins]}, mean of {len(each)} sets (95 %: {percent(low)} to"
            f" {percent(high)};"
            f" single sets {percent(each.min())} to {percent(each.max())}). The {group}"
            f" {'head has' if drawn.k == 1 else 'heads have'} a larger effect than"
            f" {beaten} of {len(each)} sets.",
            unit="fraction of held-out facts, mean over sets",
            interval={o: bounds for o, (_, bounds) in rates.items()},
        )
    )
