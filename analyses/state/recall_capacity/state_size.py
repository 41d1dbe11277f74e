"""Recall against bytes of state, over all stored organisms of recall."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.pair_questions import is_trained_on_pairs, of_task
from analyses.measures.statistics import mean_interval, sign
from analyses.state.recall_capacity.constants import MEASURED, PREFIX, RECORDED
from analyses.state.recall_capacity.findings import listed, points
from analyses.state.recall_capacity.measure import Answers, ask
from hooks.model import load
from workbench.organisms import Organism, shipped
from workbench.organisms.recall import record
from workbench.result import Finding, Result
from workbench.wording import counted, percent

if TYPE_CHECKING:
    import pandas as pd

    from analyses.state.recall_capacity.params import Params
    from workbench.progress import Progress

DESIGNS = "mom"
"""Organisms whose names begin so differ in how one budget of state is divided."""


MIMETIC = "-mimetic"
"""Organisms whose names end so began with weights that act like linear attention."""


@dataclass(frozen=True)
class Stored:
    """A stored organism: what it is called here, what is recorded of it, what it recalls now.

    Attributes:
        family: its mechanism; those that differ in the size of the state alone share one.
        answers: by number of pairs, on fresh rows.
    """

    name: str
    family: str
    record: record.Record
    answers: dict[int, Answers]


def family_of(name: str) -> str:
    """ "mamba" of "mamba-16"; a name without a size is a family of its own."""
    head, _, size = name.rpartition("-")
    return head if head and size.isdigit() else name


def organisms() -> list[Organism]:
    """Those that come with the workbench and were trained on pairs."""
    return [one for name, one in shipped().items() if name.startswith(PREFIX)]


def measure(result: Result, params: Params, progress: Progress) -> None:
    """Table and findings of this part."""
    found, every = [], organisms()
    for number, organism in enumerate(every):
        part = progress.subprogress(number / len(every), (number + 1) / len(every))
        one = _measured(organism, params, part)
        if one is not None:
            found.append(one)
    result.tables["state_size"] = _table(found, params)
    _add_steps(result, found)
    _add_state_size(result, found)
    _add_designs(result, found)
    _add_learning(result, found)


def _measured(organism: Organism, params: Params, progress: Progress) -> Stored | None:
    """None of a model whose rows are others."""
    known = record.read(organism.folder)
    progress(0.0, f"Asking {organism.name}")
    model = load(organism.name, device="cpu")
    if known is None or not is_trained_on_pairs(model):
        return None
    name = organism.name.removeprefix(PREFIX)
    answers: dict[int, Answers] = {}
    for number, pairs in enumerate(params.pairs):
        progress(number / len(params.pairs))
        seeds = range(params.seed, params.seed + params.draws)
        answers[pairs] = ask(model, of_task(), pairs, params.rows, seeds)
    return Stored(name, family_of(name), known, answers)


def _table(found: list[Stored], params: Params) -> pd.DataFrame:
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for one in found:
        of_model = {
            "model": one.name,
            "family": one.family,
            "state_bytes": one.record.state_bytes,
            "grows": one.record.grows,
        }
        first = one.record.trainings[0]
        for pairs, answers in one.answers.items():
            held = one.record.state_bytes * (of_task().length(pairs) if one.record.grows else 1)
            shared = {**of_model, "pairs": pairs, "held_bytes": held}
            rates = answers.rates()
            rows.append(
                {
                    **shared,
                    "source": MEASURED,
                    "training_seed": first.seed,
                    "rate": first.rate,
                    "trained": first.has_learned,
                    **{name: rates[name] for name in ("recall", "low", "high", "n")},
                }
            )
            # Trainings at other learning rates were tried only to find the rate.
            rows += [
                {
                    **shared,
                    "source": RECORDED,
                    "training_seed": training.seed,
                    "rate": training.rate,
                    "trained": training.has_learned,
                    "recall": training.recall[pairs],
                    "low": np.nan,
                    "high": np.nan,
                    "n": np.nan,
                }
                for training in one.record.trainings
                if training.rate == first.rate and pairs in training.recall
            ]
    return pd.DataFrame(rows)


def _families(found: list[Stored]) -> dict[str, list[Stored]]:
    """By family those that trained, the smallest state first; families of one size are left out."""
    groups: dict[str, list[Stored]] = {}
    for one in sorted(found, key=lambda one: one.record.state_bytes):
        if one.record.trainings[0].has_learned and not one.record.grows:
            groups.setdefault(one.family, []).append(one)
    return {family: members for family, members in groups.items() if len(members) > 1}


def _add_steps(result: Result, found: list[Stored]) -> None:
    """Table `state_steps`: from each size of state to the next larger one of its family."""
    import pandas as pd

    rows = []
    for family, members in _families(found).items():
        for small, large in pairwise(members):
            for pairs in small.answers:
                gain, (low, high) = large.answers[pairs].less(small.answers[pairs])
                rows.append(
                    {
                        "family": family,
                        "pairs": pairs,
                        "small_bytes": small.record.state_bytes,
                        "large_bytes": large.record.state_bytes,
                        "gain": gain,
                        "low": low if low < high else gain,
                        "high": high if low < high else gain,
                    }
                )
    columns = ["family", "pairs", "small_bytes", "large_bytes", "gain", "low", "high"]
    result.tables["state_steps"] = pd.DataFrame(rows, columns=columns)


def _add_state_size(result: Result, found: list[Stored]) -> None:
    """Whether recall rises with the state, at the number of pairs that tells most."""
    pairs = max(next(iter(found)).answers) if found else 0
    families = _families(found)
    rises: list[bool | None] = []
    words: list[str] = []
    values: dict[str, float] = {}
    steps = result.tables["state_steps"]
    for family, members in families.items():
        sizes = [
            f"{percent(one.answers[pairs].right.mean())} with {one.record.state_bytes:,} bytes"
            for one in members
        ]
        words.append(f"{family} {listed(sizes)}")
        values |= {
            f"{one.name.replace('-', '_')}": float(one.answers[pairs].right.mean())
            for one in members
        }
        mine = steps[(steps["family"] == family) & (steps["pairs"] == pairs)]
        rises += [sign(row.low, row.high) for row in mine.itertuples()]
    if not families:
        return
    verdict = (
        "recall rises with every larger state"
        if all(one is True for one in rises)
        else f"recall rises in {rises.count(True)} of {counted(len(rises), 'step')} to a larger one"
    )
    growing = [
        f"{one.name} {percent(one.answers[pairs].right.mean())}"
        for one in found
        if one.record.grows and one.record.trainings[0].has_learned
    ]
    beside = f" Where the memory grows with the text: {listed(growing)}." if growing else ""
    seeds = {
        len({t.seed for t in one.record.trainings if t.rate == one.record.trainings[0].rate})
        for members in families.values()
        for one in members
    }
    trained = (
        " Each size was trained once, so the intervals are over rows, not over trainings."
        if seeds == {1}
        else f" Each size was trained under {min(seeds)} to {max(seeds)} seeds."
        if len(seeds) > 1
        else f" Each size was trained under {max(seeds)} seeds."
    )
    failed = [one.name for one in found if not one.record.trainings[0].has_learned]
    unlearned = f" Not counted, since they did not train: {listed(failed)}." if failed else ""
    result.add(
        Finding(
            "state_size",
            {**values, "steps": len(rises), "rising": rises.count(True)},
            f"Of {pairs} pairs the stored organisms with a state of fixed size recall:"
            f" {'; '.join(words)} a layer. Within a family {verdict}.{beside}{trained}{unlearned}",
            unit="share of questions; steps",
        )
    )


def _add_designs(result: Result, found: list[Stored]) -> None:
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
            gain, (low, high), seeds = _over_seeds(planted, other, pairs)
            rows.append(
                {
                    "against": other.name,
                    "pairs": pairs,
                    "state_bytes": planted.record.state_bytes,
                    "against_bytes": other.record.state_bytes,
                    "gain": gain,
                    "low": low,
                    "high": high,
                    "seeds": seeds,
                }
            )
    table = pd.DataFrame(rows)
    result.tables["designs"] = table
    hardest = table[table["pairs"] == table["pairs"].max()]
    words = [
        f"{row.against} ({row.against_bytes:,} bytes) {points(row.gain, (row.low, row.high))}"
        for row in hardest.itertuples()
    ]
    result.add(
        Finding(
            "designs",
            {row.against.replace("-", "_"): row.gain for row in hardest.itertuples()},
            f"Several memories with a planted router ({planted.record.state_bytes:,} bytes), of"
            f" {hardest['pairs'].iloc[0]} pairs, against {'; '.join(words)}. Intervals are over"
            f" {counted(int(hardest['seeds'].min()), 'training')} of each, or over rows where there"
            " is one.",
            unit="difference of shares of questions",
            interval={
                row.against.replace("-", "_"): (row.low, row.high) for row in hardest.itertuples()
            },
        )
    )


def _over_seeds(one: Stored, other: Stored, pairs: int) -> tuple[float, tuple[float, float], int]:
    """How much more one recalls: mean over trainings of the same seed, its interval, how many."""

    def of(stored: Stored) -> dict[int, float]:
        rate = stored.record.trainings[0].rate
        return {
            t.seed: t.recall[pairs]
            for t in stored.record.trainings
            if t.rate == rate and pairs in t.recall
        }

    mine, theirs = of(one), of(other)
    shared = sorted(mine.keys() & theirs.keys())
    if len(shared) < 2:
        return (*one.answers[pairs].less(other.answers[pairs]), 1)
    gains = np.array([mine[seed] - theirs[seed] for seed in shared])
    return (*mean_interval(gains), len(shared))


def _add_learning(result: Result, found: list[Stored]) -> None:
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
            reached = stored.record.trainings[0].reached
            most = max(reached)
            values[label] = float(reached[most])
            words.append(
                f"{stored.name} is ready for rows of {most} pairs after {reached[most]:,} steps"
            )
    if words:
        says = f"From the two starts, one training each: {', '.join(words)}."
        result.add(Finding("mimetic", values, says, unit="training steps"))
