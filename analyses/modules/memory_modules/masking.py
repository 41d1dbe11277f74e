"""What is lost when a fact's slots are masked: the fact, other facts, and what random slots that
others read would take.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.measures.statistics import mean_interval, wilson
from analyses.modules.memory_modules.constants import OTHERS, OWN, RANDOM, TOP
from analyses.modules.memory_modules.fact_slots import FactSlots, Memories, used_slots
from analyses.modules.memory_modules.questions import MemoryQuestion, says
from hooks.memory_modules import all_masked

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress


def recall_by_slots(
    model: InstrumentedModel,
    memories: Memories,
    facts: Sequence[FactSlots],
    others: Sequence[MemoryQuestion],
    levels: Sequence[int],
    seed: int,
    progress: Progress,
) -> pd.DataFrame:
    """For each fact and number of slots: whether it is still answered, the share of other facts
    that are, and whether it is with as many random slots masked that other facts read.

    Columns fact, slots, masked (how many there were), own, others, random.
    """
    import pandas as pd

    lot = random.Random(seed)
    counts = levels_for(facts, levels)
    if memories.stand_in:
        # Of neurons, which all are read, those that write as much in other facts.
        near = {level: used_slots(facts, max(level, TOP)) for level in counts}
    else:
        near = dict.fromkeys(counts, used_slots(facts))
    rows = []
    for number, fact in enumerate(facts):
        progress(number / len(facts), f"Masking slots: fact {number + 1} of {len(facts)}")
        rest = [each for each in others if each is not fact.question]
        answers = [fact.question, *rest]
        for level in counts:
            top = fact.top(level)
            right = _right(model, memories, answers, top)
            mine = set(top if memories.stand_in else fact.order)
            free = [slot for slot in near[level] if slot not in mine]
            alone = [np.nan]  # there are not so many
            if len(free) >= len(top):
                alone = _right(model, memories, [fact.question], lot.sample(free, len(top)))
            rows.append((number, level, len(top), right[0], float(np.mean(right[1:])), alone[0]))
    columns = ["fact", "slots", "masked", "own", "others", "random"]
    return pd.DataFrame(rows, columns=columns)


def levels_for(facts: Sequence[FactSlots], levels: Sequence[int]) -> list[int]:
    """The numbers of slots that differ: none beyond the first that is all any fact reads."""
    most = max(len(fact.order) for fact in facts)
    beyond = [level for level in levels if level >= most]
    return [level for level in levels if level < most] + beyond[:1]


def _right(
    model: InstrumentedModel,
    memories: Memories,
    rows: Sequence[MemoryQuestion],
    slots: Sequence[int],
) -> list[float]:
    with all_masked(memories.places, memories.split(slots)):
        said = says(model, rows)
    return [float(token == row.target) for token, row in zip(said, rows, strict=True)]


def curve(table: pd.DataFrame) -> pd.DataFrame:
    """Recall by number of masked slots: columns slots, masked, what, recall, low, high, n."""
    import pandas as pd

    rows: list[tuple[Any, ...]] = []
    for level, some in table.groupby("slots"):
        masked = float(some["masked"].mean())
        for what, column in ((OWN, "own"), (OTHERS, "others"), (RANDOM, "random")):
            values = some[column].dropna().to_numpy(dtype=float)
            if not len(values):
                continue
            low, high = _interval(values, whole=what != OTHERS)
            rows.append((level, masked, what, values.mean(), low, high, len(values)))
    columns = ["slots", "masked", "what", "recall", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns)


def _interval(values: np.ndarray, *, whole: bool) -> tuple[float, float]:
    if whole:
        return wilson(int(values.sum()), len(values))
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    low, high = mean_interval(values)[1]
    return max(0.0, low), min(1.0, high)
