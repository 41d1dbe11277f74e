"""Part `path`: what is memorized and what is solved along the kept steps of a training on puzzles.

LiMem of fresh puzzles is the null along the way: a step at which that of trained puzzles is higher
has memorized.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.measures.exposure_series import along, own_series
from analyses.measures.statistics import paired_gain, rates_apart, sign, wilson
from analyses.weights.memorized_or_understood import puzzle_sets, puzzles_part
from analyses.weights.memorized_or_understood.constants import BOTH, FRESH, ORIGINAL, TRAINED
from workbench.cost import Cost
from workbench.puzzles import MATHEMATICAL, VERBAL
from workbench.result import Finding
from workbench.wording import percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analyses.weights.memorized_or_understood.params import Params
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress
    from workbench.result import Result

_OPENED = 0.4  # seconds for a kept step


def cost(model: InstrumentedModel, params: Params) -> Cost:
    """Of trained and fresh puzzles with their copies at every kept step."""
    series = own_series(model)
    steps = 0 if series is None else len(series.steps)
    copies = 1 + len(MATHEMATICAL) + len(VERBAL) - 2
    rows = 2 * copies * params.puzzles
    return Cost(forward=33.0 * rows * steps, passes=rows * steps / 32, seconds=_OPENED * steps)


def run(model: InstrumentedModel, params: Params, progress: Progress, result: Result) -> None:
    """Adds the tables `path` and `path_limem`, and what is said of them."""
    series = own_series(model)
    assert series is not None  # parts.no_path has asked
    language, sets = puzzle_sets.sets_of(model, params)
    sets = [one for one in sets if one.copies]
    rows: list[tuple[int, str, str, float, int]] = []
    limem, solved = [], {}
    for _, step, part in along(model, series, progress):
        for one, reads in zip(
            sets, puzzles_part.read_sets(model, language, sets, part), strict=True
        ):
            for version, scores in reads.items():
                there = ~np.isnan(scores.right)
                hits = float(scores.solved[there].sum())
                rows.append((step, one.of, version, hits, int(there.sum())))
            if one.of == FRESH:
                solved[step] = reads[ORIGINAL].solved.astype(int)
            both = puzzles_part.changed_share(reads, MATHEMATICAL)
            there = ~np.isnan(both)
            rows.append((step, one.of, BOTH, float(both[there].sum()), int(there.sum())))
            found = puzzles_part.consistency_of(reads, MATHEMATICAL, params.seed)
            limem.append({"step": step, "of": one.of, **puzzles_part.limem_row(found)})
    table = pd.DataFrame(rows, columns=["step", "of", "version", "hits", "n"])
    table["solved"] = table["hits"] / table["n"]
    bounds = [wilson(round(h), n) for h, n in zip(table["hits"], table["n"], strict=True)]
    table["low"], table["high"] = zip(*bounds, strict=True)
    result.tables["path"] = table.drop(columns="hits")
    result.tables["path_limem"] = pd.DataFrame(limem)
    _say(result, solved)


def memorized_from(told: Mapping[int, bool]) -> int | None:
    """The first step from which LiMem is higher at every later one; a step that is higher by chance
    begins nothing.
    """
    steps = sorted(told)
    last = max((at for at, step in enumerate(steps) if not told[step]), default=-1)
    return steps[last + 1] if last + 1 < len(steps) else None


def _say(result: Result, solved: Mapping[int, np.ndarray]) -> None:
    """When memorizing begins, and whether fresh puzzles go up or down meanwhile.

    Args:
        solved: of each step which fresh puzzles are solved, (puzzle,).
    """
    table, limem = result.tables["path"], result.tables["path_limem"]
    trained, fresh = (limem[limem["of"] == of].set_index("step") for of in (TRAINED, FRESH))
    begins_at = memorized_from({
        int(step): bool(sign(*rates_apart(trained["limem"][step], trained["n"][step],
                                          fresh["limem"][step], fresh["n"][step])))
        for step in trained.index
    })  # fmt: skip
    plain = table[table["version"] == ORIGINAL].pivot(index="step", columns="of", values="solved")
    best, last = int(plain[FRESH].idxmax()), int(plain.index[-1])
    values = {
        "trained": float(plain[TRAINED][last]), "fresh": float(plain[FRESH][last]),
        "best_fresh": float(plain[FRESH][best]), "at": float(best),
    }  # fmt: skip
    begins = (
        f"From step {begins_at:,} on LiMem is higher on puzzles it has read than on fresh ones"
        if begins_at is not None
        else "From no kept step on is LiMem higher on puzzles it has read than on fresh ones"
    )
    says = (
        f"{begins}. At the end it solves {percent(values['trained'])} of its own puzzles and"
        f" {percent(values['fresh'])} of fresh ones, which were at most"
        f" {percent(values['best_fresh'])}, at step {best:,}."
    )
    spread = {}
    before = [step for step in sorted(solved) if begins_at is not None and step < begins_at]
    if before:
        change, (low, high) = paired_gain(solved[last] - solved[before[-1]])
        values["change"], spread["change"] = change, (low, high)
        says += f" {_change(low, high)} ({100 * low:+.0f} to {100 * high:+.0f} points)."
    if begins_at is not None:
        values["memorized_from"] = float(begins_at)
    result.add(Finding("path", values, says.replace("-", "−"), unit="share of puzzles",
                       interval=spread or None))  # fmt: skip


def _change(low: float, high: float) -> str:
    return {
        True: "More of the fresh ones are solved at the end than before that: it memorized first,"
        " and solved then",
        False: "Fewer of the fresh ones are solved at the end than before that: what it could solve"
        " gave way to what it memorized",
        None: "Whether more or fewer of the fresh ones are solved than before that is not told"
        " apart",
    }[sign(low, high)]
