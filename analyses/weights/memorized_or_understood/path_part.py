"""Part `path`: what is memorized and what is solved along the kept steps of a training on puzzles.

LiMem of fresh puzzles is the null along the way: a step at which that of trained puzzles is higher
has memorized.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analyses.measures.exposure_series import along, own_series
from analyses.measures.statistics import rates_apart, sign, wilson
from analyses.weights.memorized_or_understood import puzzle_sets, puzzles_part
from analyses.weights.memorized_or_understood.constants import BOTH, FRESH, ORIGINAL, TRAINED
from workbench.cost import Cost
from workbench.puzzles import MATHEMATICAL, VERBAL
from workbench.result import Finding
from workbench.wording import percent

if TYPE_CHECKING:
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
    limem = []
    for _, step, part in along(model, series, progress):
        for one, reads in zip(
            sets, puzzles_part.read_sets(model, language, sets, part), strict=True
        ):
            for version, scores in reads.items():
                there = ~np.isnan(scores.right)
                hits = float(scores.solved[there].sum())
                rows.append((step, one.of, version, hits, int(there.sum())))
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
    _say(result)


def _say(result: Result) -> None:
    """When memorizing begins, and whether fresh puzzles go up or down meanwhile."""
    table, limem = result.tables["path"], result.tables["path_limem"]
    trained, fresh = (limem[limem["of"] == of].set_index("step") for of in (TRAINED, FRESH))
    memorized = [
        step
        for step in trained.index
        if sign(*rates_apart(trained["limem"][step], trained["n"][step], fresh["limem"][step],
                             fresh["n"][step]))
    ]  # fmt: skip
    plain = table[table["version"] == ORIGINAL].pivot(index="step", columns="of", values="solved")
    counts = table[(table["version"] == ORIGINAL) & (table["of"] == FRESH)].set_index("step")["n"]
    best, last = int(plain[FRESH].idxmax()), int(plain.index[-1])
    before = max((step for step in plain.index if not memorized or step < memorized[0]), default=0)
    low, high = rates_apart(plain[FRESH][last], counts[last], plain[FRESH][before], counts[before])
    values = {
        "trained": float(plain[TRAINED][last]), "fresh": float(plain[FRESH][last]),
        "best_fresh": float(plain[FRESH][best]), "at": float(best),
    }  # fmt: skip
    begins = (
        f"From step {memorized[0]:,} on LiMem is higher on puzzles it has read than on fresh ones"
        if memorized
        else "At no kept step is LiMem higher on puzzles it has read than on fresh ones"
    )
    goes = {
        True: "More of the fresh ones are solved at the end than before that: it memorized first,"
        " and solved then",
        False: "Fewer of the fresh ones are solved at the end than before that: what it could solve"
        " gave way to what it memorized",
        None: "Whether more or fewer of the fresh ones are solved than before that is not told"
        " apart",
    }[sign(low, high)]
    says = (
        f"{begins}. At the end it solves {percent(values['trained'])} of its own puzzles and"
        f" {percent(values['fresh'])} of fresh ones, which were at most"
        f" {percent(values['best_fresh'])}, at step {best:,}. {goes}"
        f" ({100 * low:+.0f} to {100 * high:+.0f} points)."
    )
    values["change"] = float(plain[FRESH][last] - plain[FRESH][before])
    if memorized:
        values["memorized_from"] = float(memorized[0])
    result.add(Finding("path", values, says.replace("-", "−"), unit="share of puzzles",
                       interval={"change": (low, high)}))  # fmt: skip
