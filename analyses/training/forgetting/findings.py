"""What a run says: the cost, the law, the path, layers, and lost or misplaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.measures.forgetting_law import LINE, POWER, SIZE, STEPS
from analyses.measures.forgetting_verdict import (
    KEPT,
    LOST,
    MISPLACED,
    OPEN,
    PARTLY,
    has_fallen,
    retained_share,
    verdict,
)
from analyses.measures.statistics import paired_gain, wilson_of
from analyses.training.forgetting import constants as c
from analyses.training.forgetting.further import barrier
from analyses.training.forgetting.minus_signs import plain_minus
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from analyses.measures.forgetting_answers import AskedFact
    from analyses.training.forgetting.old_facts import OldFacts
    from analyses.training.forgetting.params import Params
    from analyses.training.forgetting.retention_tests import RetentionResults
    from workbench.result import Result

_NO_BARRIER = 1e-3  # nats per token
_SAYS = {
    KEPT: "The facts are kept",
    MISPLACED: "The facts are misplaced, not lost",
    LOST: "The facts are lost",
    PARTLY: "The facts are partly lost",
    OPEN: "Whether the facts are lost or only misplaced cannot be told",
}


def fact_table(facts: Sequence[AskedFact]) -> pd.DataFrame:
    """A row per fact: `fact`, `relation`, `prompt`, `answer`."""
    import pandas as pd

    rows = [(n, f.relation, f.prompt, f.answer) for n, f in enumerate(facts)]
    return pd.DataFrame(rows, columns=["fact", "relation", "prompt", "answer"])


def add_facts(result: Result, facts: OldFacts, name: str) -> None:
    """How many facts may be forgotten."""
    says = (
        f"{len(facts.facts)} facts that {name} says whole closed-book, of {facts.asked} asked, may"
        f" be forgotten; {counted(len(facts.unknown), 'fact')} that it never knew"
        f" {'stands' if len(facts.unknown) == 1 else 'stand'} beside them."
    )
    result.add(Finding("facts", float(len(facts.facts)), says, unit="facts"))


def of_pair(points: pd.DataFrame) -> pd.DataFrame:
    """The rows of the pair that is looked at, as it ended, by kind of text."""
    own = points[points["rank"] == points["rank"].iloc[0]]
    return own[own["step"] == own["step"].max()].set_index("text")


def add_cost(result: Result, params: Params) -> None:
    """What fine-tuning cost on each kind of text."""
    points = result.tables["points"]
    end = of_pair(points)
    values = {name: float(end.loc[name, "kl"]) for name in c.SETS}
    spread = {name: (float(end.loc[name, "low"]), float(end.loc[name, "high"])) for name in c.SETS}
    low, high = spread[c.NEUTRAL]
    how = ""
    if not params.tuned.strip():
        size = f"rank {params.rank}" if params.rank else "all weights"
        how = f"; {size}, {params.steps} steps"
    says = (
        f"Fine-tuning cost {values[c.NEUTRAL]:.3g} nats per token on neutral text (95 %"
        f" {low:.3g} to {high:.3g}{how}) and {values[c.OWN]:.3g} on the base model's own text."
    )
    if not params.tuned.strip():
        own = points[(points["rank"] == params.rank) & (points["text"] == c.TASK)]
        gain = float(own["nats"].iloc[0] - own["nats"].iloc[-1])
        values["gain"] = gain
        says += f" The new task's loss on held-out text fell by {gain:.2f} nats."
    result.add(Finding("cost", values, plain_minus(says), unit="nats per token", interval=spread))


def add_law(result: Result) -> None:
    """Whether one line holds for all ranks."""
    fits = result.tables["fits"]
    whole = fits[fits["rank"] == 0].set_index("form")
    values = {
        "r2": float(whole.loc[LINE, "r2"]),
        "held_out": float(whole.loc[LINE, "held_out"]),
        "slope": float(whole.loc[LINE, "slope"]),
        "power_held_out": float(whole.loc[POWER, "held_out"]),
        "steps_held_out": float(whole.loc[STEPS, "held_out"]),
        "size_held_out": float(whole.loc[SIZE, "held_out"]),
    }
    ranks = sorted(set(result.tables["law"]["rank"]))
    listed = ", ".join(map(str, ranks))
    if np.isnan(values["r2"]):
        says = "Forgetting is the same at all points, so no line can be told."
        result.add(Finding("law", values, says, unit="R², nats per nat"))
        return
    says = (
        f"Over {'ranks' if len(ranks) > 1 else 'rank'} {listed}, forgetting follows one line in the"
        f" new task's loss with R² {values['r2']:.2f}: each nat learned costs"
        f" {-values['slope']:.3f} nats on neutral text."
    )
    if np.isfinite(values["held_out"]):
        says += (
            f" A rank that the line never saw is told with R² {values['held_out']:.2f}; steps"
            f" alone tell it with {values['steps_held_out']:.2f}, the size of the change with"
            f" {values['size_held_out']:.2f}"
        )
        power = values["power_held_out"]
        says += f", the power law with {power:.2f}." if np.isfinite(power) else "."
    result.add(Finding("law", values, plain_minus(says), unit="R², nats per nat"))


def add_path(result: Result) -> None:
    """Whether a barrier lies between base and fine-tuned weights."""
    table = result.tables["path"]
    shares = table["share"].to_numpy(float)
    values: dict[str, float] = {}
    parts, highest = [], 0.0
    for name, what in (("neutral", "neutral text"), ("task", "the new task's text")):
        losses = table[name].to_numpy(float)
        height, at = barrier(shares, losses)
        ends = losses[np.isin(shares, (0.0, 1.0))]
        gap, highest = float(abs(ends[-1] - ends[0])), max(highest, height)
        values |= {name: height, f"{name}_share": height / gap if gap > 1e-6 else float("nan")}
        parts.append(f"{height:.3f} nats on {what} (at {percent(at)} of the update)")
    says = "No barrier lies on the straight line between the two"
    if highest > _NO_BARRIER:
        says = f"The highest barrier on the straight line between the two: {' and '.join(parts)}"
    best = table.loc[table["task"].idxmin(), "share"]
    says += f"; the new task's loss is lowest at {percent(float(best))} of the update."
    result.add(Finding("path", values, plain_minus(says), unit="nats per token"))


def add_cka(result: Result) -> None:
    """Which layer's states changed most."""
    table = result.tables["cka"]
    rows = table[table["tokens"] == c.NEUTRAL].dropna()
    if rows.empty:
        return
    least = rows.loc[rows["cka"].idxmin()]
    says = (
        f"On neutral text the states behind layer {least['layer']} changed most: CKA"
        f" {least['cka']:.3f} with those of the base; the mean over layers is"
        f" {rows['cka'].mean():.3f}. Near 1 does not prove that the function is kept."
    )
    values = {"least": float(least["cka"]), "mean": float(rows["cka"].mean())}
    result.add(Finding("cka", values, says, unit="CKA"))


def add_tests(result: Result, found: RetentionResults, facts: OldFacts, seed: int) -> None:
    """The tables `tests`, `items` and `probe`, and the verdict."""
    import pandas as pd

    rows, shares = [], {}
    free = found.tests[c.FREE]
    fell = has_fallen(free.before, free.after, seed)
    for name, test in found.tests.items():
        kept = retained_share(test, seed)
        if name != c.FREE:
            shares[name] = kept
        rows.append(
            (name, float(test.before.mean()), float(test.after.mean()), float(test.floor.mean()),
             kept.value, kept.low, kept.high, _word(kept.holds), len(test.before))
        )  # fmt: skip
    columns = ["test", "before", "after", "floor", "kept", "low", "high", "says", "n"]
    result.tables["tests"] = pd.DataFrame(rows, columns=columns)
    if found.probe:
        result.tables["probe"] = pd.DataFrame(found.probe)
    result.tables["items"] = _items(found, facts)
    _add_verdict(result, verdict(fell, shares), found, seed)


def _word(holds: bool | None) -> str:
    return {True: "holds", False: "falls", None: "cannot be told"}[holds]


def _items(found: RetentionResults, facts: OldFacts) -> pd.DataFrame:
    import pandas as pd

    table = fact_table(facts.facts).assign(before=found.before, after=found.after)
    for name, test in found.tests.items():
        table[name] = test.after > 0.5
    return pd.DataFrame(table)


def _add_verdict(result: Result, told: str, found: RetentionResults, seed: int) -> None:
    tests = result.tables["tests"].set_index("test")
    free, again = tests.loc[c.FREE], tests.loc[c.REALIGNED]
    fall, (low, high) = paired_gain(found.tests[c.FREE].after - found.tests[c.FREE].before)
    says = (
        f"{_SAYS[told]}: said freely before and after, {percent(free['before'])} and"
        f" {percent(free['after'])} of {int(free['n'])} facts."
    )
    if told != KEPT:
        gone = found.tests[c.FREE].after < found.tests[c.FREE].before
        back = found.tests[c.REALIGNED].after[gone]
        steps = f"{int(back.sum())} of {len(back)} come back after re-alignment on other facts"
        says += f" Of those no longer said, {steps}" if len(back) else " None is no longer said"
        says += f" (without the facts {percent(float(again['floor']))} would be right"
        if found.unknown == found.unknown:
            says += f"; of facts that the base never knew {percent(found.unknown)} are said then"
        says += ")."
        others = [
            f"{name} {percent(row.before)} before, {percent(row.after)} after"
            for name, row in tests.iterrows()
            if name not in (c.FREE, c.REALIGNED)
        ]
        says += f" {'; '.join(others).capitalize()}." if others else ""
    values = {
        "fall": -fall,
        "realigned": float(again["after"]),
        "control": float(again["floor"]),
        "unknown": found.unknown,
    }
    spread = {"fall": (-high, -low), "realigned": wilson_of(float(again["after"]), again["n"])}
    result.add(Finding("verdict", values, plain_minus(says), unit="share of facts",
                       interval=spread))  # fmt: skip
