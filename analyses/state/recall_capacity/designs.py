"""What stored organisms say beside the size of their state: how a budget of state is divided, what
a start does, what a rule of writing forgets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.measures.statistics import rate_interval
from analyses.state.recall_capacity.constants import DESIGNS
from analyses.state.recall_capacity.findings import points
from analyses.state.recall_capacity.stored import BOUND_AGAIN, ENOUGH, Stored, gain
from workbench.result import Finding
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from workbench.result import Result

MIMETIC = "-mimetic"
"""Organisms whose names end so began with weights that act like linear attention."""


def add_designs(result: Result, found: list[Stored]) -> None:
    """Table and finding of organisms that divide one budget of state in several ways."""
    import pandas as pd

    designs = [one for one in found if one.name.startswith(f"{DESIGNS}-")]
    planted = next((one for one in designs if one.name.endswith("planted")), None)
    if planted is None or len(designs) < 2:
        return
    rows = []
    for other in designs:
        if other is planted:
            continue
        for pairs in planted.answers:
            more, (low, high), seeds = gain(planted, other, pairs)
            single = _by_seed(planted, other, pairs)
            rows.append(
                {
                    "against": other.name,
                    "pairs": pairs,
                    "state_bytes": planted.record.state_bytes,
                    "against_bytes": other.record.state_bytes,
                    "gain": more,
                    "low": low,
                    "high": high,
                    "seeds": seeds,
                    "lowest": min(single, default=more),
                    "highest": max(single, default=more),
                }
            )
    table = pd.DataFrame(rows)
    result.tables["designs"] = table
    hardest = table[table["pairs"] == table["pairs"].max()]
    active = planted.record.active_bytes or planted.record.state_bytes
    words = [
        f"{row.against} ({row.against_bytes:,} bytes"
        f"{_alike(row.against_bytes, active, planted.record.state_bytes)})"
        f" {points(row.gain, (row.low, row.high))}{_single(row.lowest, row.highest)}"
        for row in hardest.itertuples()
    ]
    result.add(
        Finding(
            "designs",
            {row.against.replace("-", "_"): row.gain for row in hardest.itertuples()},
            f"Several memories with a planted router ({planted.record.state_bytes:,} bytes,"
            f" {active:,} of them active for a token) recall, of {hardest['pairs'].iloc[0]} pairs,"
            f" against {'; '.join(words)}. {_over(hardest['seeds'])}",
            unit="difference of shares of questions",
            interval={
                row.against.replace("-", "_"): (row.low, row.high) for row in hardest.itertuples()
            },
        )
    )


def _alike(held: int, active: int, total: int) -> str:
    """In which of the two budgets another design is equal."""
    equal = [word for word, budget in (("active", active), ("total", total)) if held == budget]
    return f", equal {' and '.join(equal)} bytes" if equal else ""


def _single(lowest: float, highest: float) -> str:
    """How far single trainings are apart."""
    if lowest == highest:
        return ""
    return f", single trainings {100 * lowest:+.0f} to {100 * highest:+.0f}".replace("-", "−")


def _over(trainings: pd.Series[int]) -> str:
    """What the intervals are over."""
    if (trainings == 1).all():
        return "Intervals are over rows of one training of each, not over trainings."
    return (
        f"Intervals are over trainings where {ENOUGH} or more of each learned the task, else over"
        " rows of one."
    )


def _by_seed(one: Stored, other: Stored, pairs: int) -> list[float]:
    """How much more one recalls than the other, of trainings of the same seed."""
    mine, theirs = one.over_trainings(pairs), other.over_trainings(pairs)
    return [mine[seed] - theirs[seed] for seed in sorted(mine.keys() & theirs.keys())]


def add_learning(result: Result, found: list[Stored]) -> None:
    """Table of when every training learned, and what a mimetic start does to that (Trockman et al.
    2024, "Mimetic initialization helps state space models learn to recall").
    """
    import pandas as pd

    rows = [
        {
            "model": one.name,
            "pairs": pairs,
            "training_seed": training.seed,
            "rate": training.rate,
            "step": step,
        }
        for one in found
        for training in one.record.trainings
        for pairs, step in training.reached.items()
        if step
    ]
    columns = ["model", "pairs", "training_seed", "rate", "step"]
    table = pd.DataFrame(rows, columns=columns)
    result.tables["learning_steps"] = table
    names = {one.name: one for one in found}
    words, values = [], dict[str, float]()
    for name, one in names.items():
        default = names.get(name.removesuffix(MIMETIC))
        if not name.endswith(MIMETIC) or default is None:
            continue
        for label, stored in (("mimetic", one), ("default", default)):
            mine = table[(table["model"] == stored.name) & (table["rate"] == _rate(stored))]
            most = int(mine["pairs"].max())
            steps = mine.loc[mine["pairs"] == most, "step"]
            values[label] = float(steps.mean())
            span = f" ({steps.min():,} to {steps.max():,})" if len(steps) > 1 else ""
            words.append(
                f"{stored.name} is ready for rows of {most} pairs after {steps.mean():,.0f}"
                f" steps{span}, {counted(len(steps), 'training')}"
            )
    if words:
        says = f"From the two starts, mean over trainings: {'; '.join(words)}."
        result.add(Finding("mimetic", values, says, unit="training steps"))


def _rate(stored: Stored) -> float:
    return stored.record.trainings[0].rate


def add_forgetting(result: Result, found: list[Stored]) -> None:
    """Table and finding of organisms that were trained with keys that are bound again: whether the
    new value takes the place of the old one.
    """
    import pandas as pd

    rows = []
    for one in found:
        if one.rebound is None:
            continue
        changed, other = one.rebound.where(one.rebound.old), one.rebound.where(~one.rebound.old)
        low, high = rate_interval(changed.right, changed.row)
        old_low, old_high = rate_interval(changed.kept_old, changed.row)
        rows.append(
            {
                "model": one.name,
                "state_bytes": one.record.state_bytes,
                "new": float(changed.right.mean()),
                "new_low": low,
                "new_high": high,
                "old": float(changed.kept_old.mean()),
                "old_low": old_low,
                "old_high": old_high,
                "other": 1 - float(changed.right.mean()) - float(changed.kept_old.mean()),
                "bound_once": float(other.right.mean()),
                "n": len(changed.right),
            }
        )
    if not rows:
        return
    table = pd.DataFrame(rows)
    result.tables["forgetting"] = table
    words = [
        f"{row.model} gives the new value in {percent(row.new)} and the old one in"
        f" {percent(row.old)} (keys that were bound once: {percent(row.bound_once)})"
        for row in table.itertuples()
    ]
    result.add(
        Finding(
            "forgetting",
            {row.model.replace("-", "_"): row.new for row in table.itertuples()},
            f"Organisms trained on rows in which keys are bound again, asked for such keys of"
            f" {BOUND_AGAIN} pairs: {'; '.join(words)}.",
            unit="share of questions",
            interval={
                row.model.replace("-", "_"): (row.new_low, row.new_high)
                for row in table.itertuples()
            },
        )
    )
