"""What was defined far back in a text, and is asked for: whether the memory reads the definition,
and what is lost without it.

Rows of `workbench.organisms.recall.task`: a pair of key and value is a definition, the value's
token its slot; a key further on asks for it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch

from analyses.measures.statistics import wilson
from analyses.modules.memory_modules.constants import ANOTHER, CHANGES, GOLD, OFF, SWAP
from analyses.modules.memory_modules.fact_slots import Memories
from hooks.memory_modules import masked, recorded, swapped, switched_off
from hooks.memory_modules.slot_changes import values_of
from workbench.organisms.modules.families import WINDOW
from workbench.organisms.recall import task
from workbench.organisms.recall.task import Rows

if TYPE_CHECKING:
    import pandas as pd

    from hooks.memory_modules import MemoryPlace
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

ROWS, PAIRS, LENGTH = 128, 16, 64
_BINS = (1, WINDOW, 16, 32, LENGTH)


def texts(seed: int) -> Rows:
    """Rows with definitions and questions."""
    return task.make(ROWS, PAIRS, LENGTH, torch.Generator().manual_seed(seed))


def read_definitions(
    model: InstrumentedModel, memories: Memories, rows: Rows, progress: Progress
) -> dict[str, pd.DataFrame]:
    """Tables by name: hits, distances, changes."""
    progress(0.0, "Reading texts with definitions")
    place = memories.places[0]
    with recorded([place]) as calls:
        before = _answers(model, rows)
    reads, gold = calls[-1].reads, rows.written + 1
    far = (rows.asked - gold) >= WINDOW
    with switched_off(place):
        without = _answers(model, rows)
    return {
        "hits": _hits(reads, rows.asked, gold, far),
        "distances": _by_distance(rows, gold, before, without),
        "changes": _changes(model, place, rows, far, progress),
    }


def _answers(model: InstrumentedModel, rows: Rows) -> torch.Tensor:
    """The likeliest token at each question, (row, pair)."""
    ids = rows.ids.to(model.device)
    logits = model.forward(input_ids=ids, use_cache=False).logits
    said: torch.Tensor = logits.argmax(-1).cpu().gather(1, rows.asked)
    return said


def _hits(reads: Any, asked: torch.Tensor, gold: torch.Tensor, far: torch.Tensor) -> pd.DataFrame:
    """By head: how often the definition is what is read most, its share of the weights, the gate,
    and what a read at random among the tokens far enough back would hit.
    """
    import pandas as pd

    assert reads.index is not None
    heads, rows = reads.weight.shape[2], []
    chance = float((1 / (asked - WINDOW + 1).clamp(min=1).float())[far].mean())
    for head in range(heads):
        index, weight = reads.index[:, :, head].cpu(), reads.weight[:, :, head].cpu()
        at = asked[..., None].expand(-1, -1, index.shape[-1])
        slot, much = index.gather(1, at), weight.gather(1, at)
        first = slot.gather(-1, much.argmax(-1, keepdim=True))[..., 0]
        on_gold = (much * (slot == gold[..., None])).sum(-1)
        gate = 1.0 if reads.gate is None else float(reads.gate[..., head].mean())
        hit = float((first == gold)[far].float().mean())
        low, high = wilson(round(hit * int(far.sum())), int(far.sum()))
        rows.append(
            (head, hit, low, high, float(on_gold[far].mean()), gate, chance, int(far.sum()))
        )
    columns = ["head", "hit", "low", "high", "weight", "gate", "chance", "n"]
    return pd.DataFrame(rows, columns=columns)


def _by_distance(
    rows: Rows, gold: torch.Tensor, before: torch.Tensor, without: torch.Tensor
) -> pd.DataFrame:
    """Recall by tokens between definition and question, with the memory and without."""
    import pandas as pd

    distance, found = rows.asked - gold, []
    for low, high in pairwise(_BINS):
        here = (distance >= low) & (distance < high)
        n = int(here.sum())
        if not n:
            continue
        right = [float((said == rows.values)[here].float().mean()) for said in (before, without)]
        found.append((f"{low} to {high - 1}", low, *right, n))
    return pd.DataFrame(found, columns=["tokens", "from", "with_memory", "without", "n"])


def _changes(
    model: InstrumentedModel,
    place: MemoryPlace,
    rows: Rows,
    far: torch.Tensor,
    progress: Progress,
) -> pd.DataFrame:
    """One question of each row that is far enough from its definition, after each change: share of
    rows that say its own value, another definition's, and of other questions that are right.
    """
    import pandas as pd

    each = torch.arange(len(far))[far.any(1)]
    pair = far[each].float().argmax(1)
    other = (pair + PAIRS // 2) % PAIRS
    some = Rows(*(getattr(rows, name)[each] for name in Rows.__dataclass_fields__))
    at = torch.arange(len(each))
    own, theirs = some.values[at, pair], some.values[at, other]
    gold, elsewhere = some.written[at, pair] + 1, some.written[at, other] + 1
    rest = torch.ones_like(some.values, dtype=torch.bool)
    rest[at, pair] = False
    rest[at, other] = False
    found = []
    for number, what in enumerate(CHANGES):
        progress(number / len(CHANGES), f"Definitions: {what}")
        with _change(model, place, some, what, gold, elsewhere):
            said = _answers(model, some)
        mine = said[at, pair]
        right = float((said == some.values)[rest].float().mean())
        hits = int((mine == own).sum())
        low, high = wilson(hits, len(each))
        moved = float((mine == theirs).float().mean())
        found.append((what, hits / len(each), low, high, moved, right, len(each)))
    columns = ["change", "own", "low", "high", "other_value", "others", "n"]
    return pd.DataFrame(found, columns=columns)


def _change(
    model: InstrumentedModel,
    place: MemoryPlace,
    rows: Rows,
    what: str,
    gold: torch.Tensor,
    elsewhere: torch.Tensor,
) -> AbstractContextManager[Any]:
    if what == OFF:
        return switched_off(place)
    if what == GOLD:
        return masked(place, gold[:, None].tolist())
    if what == ANOTHER:
        return masked(place, elsewhere[:, None].tolist())
    if what == SWAP:
        _answers(model, rows)  # the memory holds these texts now
        held = place.slots()
        heads = 1 if held.value is None else held.value.shape[1]
        values = values_of(held, elsewhere[:, None].to(model.device), len(gold), heads)
        return swapped(place, gold[:, None].to(model.device), values)
    return nullcontext()
