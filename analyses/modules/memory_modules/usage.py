"""How often slots are read, which never, and whether a slot serves one relation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analyses.modules.memory_modules.constants import DRAWS, TOP
from analyses.modules.memory_modules.fact_slots import Memories, read_sizes

if TYPE_CHECKING:
    import pandas as pd

    from analyses.modules.memory_modules.questions import MemoryQuestion
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_FEW = 4  # facts that a slot needs before its relation is spoken of
_CURVE = 60  # points of the curve of usage


def read_by(
    model: InstrumentedModel,
    memories: Memories,
    rows: Sequence[MemoryQuestion],
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """(facts that read a slot, of each relation: (relation, slot); slots that a fact reads). Of
    neurons the largest count as read.
    """
    names = list(dict.fromkeys(row.relation for row in rows))
    counts = np.zeros((len(names), memories.total), dtype=np.int64)
    each = np.zeros(len(rows), dtype=np.int64)
    for number, size in read_sizes(model, memories, rows, progress):
        read = np.flatnonzero(size)
        if memories.stand_in:
            read = np.argsort(-size, kind="stable")[:TOP]
        counts[names.index(rows[number].relation), read] += 1
        each[number] = len(read)
    return counts, each


def by_memory(memories: Memories, counts: np.ndarray, each: np.ndarray) -> pd.DataFrame:
    """One row for each memory: slots, used, dead, kl (nats, from every slot being read alike),
    busiest (share of the reads that the busiest hundredth of slots has), facts_per_slot,
    slots_per_fact (of all memories).
    """
    import pandas as pd

    total, rows = counts.sum(0), []
    for place, low, high in zip(
        memories.places, memories.starts, memories.starts[1:], strict=False
    ):
        here = total[low:high]
        used = int((here > 0).sum())
        share = here[here > 0] / max(1, here.sum())
        kl = float(np.log(len(here)) + (share * np.log(share)).sum()) if used else np.nan
        top = np.sort(here)[::-1][: max(1, len(here) // 100)].sum() / max(1, here.sum())
        per_slot = float(here.sum() / used) if used else 0.0
        rows.append(
            (
                place.name,
                len(here),
                used,
                len(here) - used,
                kl,
                float(top),
                per_slot,
                float(each.mean()),
            )
        )
    columns = [
        "memory", "slots", "used", "dead", "kl", "busiest", "facts_per_slot", "slots_per_fact",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def ranked(counts: np.ndarray) -> pd.DataFrame:
    """Slots from the one that most facts read: columns rank, facts. A few points of the curve."""
    import pandas as pd

    total = np.sort(counts.sum(0))[::-1]
    ranks = np.unique(np.geomspace(1, len(total), _CURVE).astype(int))
    return pd.DataFrame({"rank": ranks, "facts": total[ranks - 1]})


def one_relation(
    counts: np.ndarray, relations: Sequence[str], seed: int
) -> tuple[float, float, float, int] | None:
    """Mean share of a slot's facts that are of its commonest relation; the same where the facts'
    relations are dealt anew (mean and 97.5 %); how many slots. None where there is one relation,
    or no slot is read often enough.
    """
    total = counts.sum(0)
    often = total >= _FEW
    if len(relations) < 2 or not often.any():
        return None
    real = float((counts[:, often].max(0) / total[often]).mean())
    rng = np.random.default_rng(seed)
    # Dealing relations to the facts of a slot at random, in the proportions of all its facts.
    share = counts.sum(1) / counts.sum()
    dealt = [
        float((rng.multinomial(total[often], share).max(1) / total[often]).mean())
        for _ in range(DRAWS)
    ]
    return real, float(np.mean(dealt)), float(np.percentile(dealt, 97.5)), int(often.sum())
