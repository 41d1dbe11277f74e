"""What slots' values say, and what happens where another fact's stand in their place."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from analyses.modules.memory_modules.constants import (
    A_SAID,
    ANSWER_RANK,
    B_SAID,
    ELSE_SAID,
    OTHER_RANK,
    RANDOM_VALUES,
    SWAPPED,
    TOP,
)
from analyses.modules.memory_modules.fact_slots import FactSlots, Memories, brought, used_slots
from analyses.modules.memory_modules.parts import writes_stream
from analyses.modules.memory_modules.questions import says
from hooks.logit_attribution import unembed_direction
from hooks.memory_modules import recorded, swapped

if TYPE_CHECKING:
    import pandas as pd

    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

_SHOWN = 5  # tokens of a value


def has_values(model: InstrumentedModel, memories: Memories) -> bool:
    """Whether every memory has one table of values that are vectors of the residual stream."""
    return all(writes_stream(model, place) for place in memories.places)


def lens(model: InstrumentedModel, memories: Memories, slots: Sequence[int]) -> pd.DataFrame:
    """What each slot's value promotes, through the final norm and the unembedding: columns slot,
    name, promotes.
    """
    import pandas as pd

    rows = []
    for slot in slots:
        top = _direction(model, memories, slot)[0].topk(_SHOWN).indices.tolist()
        words = ", ".join(word.strip() or repr(word) for word in model.token_strings(top))
        rows.append((slot, memories.name(slot), words))
    return pd.DataFrame(rows, columns=["slot", "name", "promotes"])


def _direction(model: InstrumentedModel, memories: Memories, slot: int) -> torch.Tensor:
    return unembed_direction(model, _value(memories, slot)[None]).float()


def _value(memories: Memories, slot: int) -> torch.Tensor:
    place, number = memories.place_of(slot)
    value = place.slots().value
    assert value is not None
    return value[number]


def answer_ranks(
    model: InstrumentedModel, memories: Memories, facts: Sequence[FactSlots]
) -> pd.DataFrame:
    """Rank of the answer among the tokens that the memories' reading at the last token promotes (0
    is the first), and of another fact's answer of the same relation: columns fact, what, rank.
    """
    import pandas as pd

    rows = []
    for number, fact in enumerate(facts):
        with recorded(memories.places) as calls:
            model.next_logits([list(fact.question.ids)])
        given = [brought(call) for call in calls]
        logits = unembed_direction(model, torch.stack(given).sum(0)[None].float())[0]
        place = logits.argsort(descending=True).argsort()
        rows.append((number, ANSWER_RANK, int(place[fact.question.target])))
        other = _partner(facts, number)
        if other is not None:
            rows.append((number, OTHER_RANK, int(place[facts[other].question.target])))
    return pd.DataFrame(rows, columns=["fact", "what", "rank"])


def _partner(facts: Sequence[FactSlots], number: int) -> int | None:
    """Another fact of the relation with another answer: the next one."""
    mine = facts[number].question
    for step in range(1, len(facts)):
        at = (number + step) % len(facts)
        other = facts[at].question
        if other.relation == mine.relation and other.target != mine.target:
            return at
    return None


def swaps(
    model: InstrumentedModel,
    memories: Memories,
    facts: Sequence[FactSlots],
    seed: int,
    progress: Progress,
) -> pd.DataFrame:
    """What is said with another fact's values in a fact's slots: columns fact, values, says.

    The slots of both are paired from the most read on, within each memory; a slot that both read
    stays as it is.
    """
    import pandas as pd

    lot, used, rows = random.Random(seed), used_slots(facts, TOP), []
    for number, fact in enumerate(facts):
        progress(number / len(facts), f"Swapping values: fact {number + 1} of {len(facts)}")
        other = _partner(facts, number)
        if other is None:
            continue
        theirs = facts[other].question.target
        for kind, source in (
            (SWAPPED, facts[other].order[:TOP]),
            (RANDOM_VALUES, lot.sample(used, min(TOP, len(used)))),
        ):
            token = _with_values(model, memories, fact, source)
            said = ELSE_SAID
            if token == theirs:
                said = B_SAID
            elif token == fact.question.target:
                said = A_SAID
            rows.append((number, kind, said))
    return pd.DataFrame(rows, columns=["fact", "values", "says"])


def _with_values(
    model: InstrumentedModel, memories: Memories, fact: FactSlots, source: Sequence[int]
) -> int:
    from contextlib import ExitStack

    mine, theirs = memories.split(fact.order[:TOP]), memories.split(source)
    with ExitStack() as stack:
        for place, own, other in zip(memories.places, mine, theirs, strict=True):
            pairs = [(a, b) for a, b in zip(own, other, strict=False) if a != b]
            if not pairs:
                continue
            value = place.slots().value
            assert value is not None
            slots = torch.tensor([[a for a, _ in pairs]])
            stack.enter_context(swapped(place, slots, value[[b for _, b in pairs]][None]))
        return says(model, [fact.question])[0]


def swap_rates(table: pd.DataFrame) -> pd.DataFrame:
    """Columns values, says, share, n."""
    import pandas as pd

    rows = []
    for kind, some in table.groupby("values", sort=False):
        for said in (B_SAID, A_SAID, ELSE_SAID):
            rows.append((kind, said, float(np.mean(some["says"] == said)), len(some)))
    return pd.DataFrame(rows, columns=["values", "says", "share", "n"])
