"""Recall against bytes of state, over all stored organisms of recall."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.pair_questions import of_task
from analyses.measures.statistics import sign
from analyses.state.recall_capacity.constants import MEASURED, RECORDED
from analyses.state.recall_capacity.designs import add_designs, add_forgetting, add_learning
from analyses.state.recall_capacity.stored import PAIRS, Stored, gain, measured, organisms
from workbench.result import Finding, Result
from workbench.wording import counted, listed, percent

if TYPE_CHECKING:
    import pandas as pd

    from analyses.state.recall_capacity.params import Params
    from workbench.progress import Progress


def measure(result: Result, params: Params, progress: Progress) -> None:
    """Table and findings of this part."""
    found, every = [], organisms()
    for number, organism in enumerate(every):
        part = progress.subprogress(number / len(every), (number + 1) / len(every))
        one = measured(organism, params, part)
        if one is not None:
            found.append(one)
    of_pairs = [one for one in found if one.record.task == PAIRS]
    result.tables["state_size"] = _table(of_pairs, params)
    _add_steps(result, of_pairs)
    _add_state_size(result, of_pairs)
    add_designs(result, of_pairs)
    add_learning(result, of_pairs)
    add_forgetting(result, found)


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
            held = max(one.record.state_bytes, one.per_token * of_task().length(pairs))
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
                more, (low, high), trainings = gain(large, small, pairs)
                rows.append(
                    {
                        "family": family,
                        "pairs": pairs,
                        "small_bytes": small.record.state_bytes,
                        "large_bytes": large.record.state_bytes,
                        "gain": more,
                        "low": low if low < high else more,
                        "high": high if low < high else more,
                        "trainings": trainings,
                    }
                )
    columns = ["family", "pairs", "small_bytes", "large_bytes", "gain", "low", "high", "trainings"]
    result.tables["state_steps"] = pd.DataFrame(rows, columns=columns)


def _recalled(one: Stored, pairs: int) -> str:
    """Mean over trainings, with the least and the most of them."""
    each = one.over_trainings(pairs).values()
    span = ""
    if len(each) > 1:
        span = f" ({100 * min(each):.0f} to {100 * max(each):.0f})"
    return f"{percent(one.recall(pairs))}{span}"


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
            f"{_recalled(one, pairs)} with {one.record.state_bytes:,} bytes" for one in members
        ]
        words.append(f"{family} {listed(sizes)}")
        values |= {f"{one.name.replace('-', '_')}": one.recall(pairs) for one in members}
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
        f"{one.name} {_recalled(one, pairs)}"
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
        else f" Each size was trained under {min(seeds)} to {max(seeds)} seeds; in brackets single"
        " trainings."
        if len(seeds) > 1
        else f" Means over {max(seeds)} trainings, in brackets single ones."
    )
    failed = [
        f"{one.name} (seed {training.seed})" if one.record.trainings[0].has_learned else one.name
        for one in found
        for training in one.record.trainings
        if training.rate == one.record.trainings[0].rate and not training.has_learned
    ]
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
