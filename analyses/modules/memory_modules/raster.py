"""Which slots each token of a text reads, and when a slot is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analyses.modules.memory_modules.constants import TOP
from analyses.modules.memory_modules.fact_slots import Memories, sizes
from hooks.memory_modules import recorded

if TYPE_CHECKING:
    import pandas as pd

    from hooks.memory_modules import MemoryRecord
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

READ = "read"
FAINT = 0.2
"""Of a memory that changes a little everywhere with every call, writes weaker than this share of
the strongest one of the call are left out.
"""
_COLUMNS = [
    "text", "pos", "memory", "head", "slot", "kind", "weight", "gate", "size", "strength",
]  # fmt: skip


def reads_of_texts(
    model: InstrumentedModel, memories: Memories, texts: Sequence[Sequence[int]], progress: Progress
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(tokens: text, pos, token; events: one row for each read and write). Of a token's reads in a
    memory the largest count.
    """
    import pandas as pd

    tokens: list[tuple[Any, ...]] = []
    events: list[tuple[Any, ...]] = []
    for number, ids in enumerate(texts):
        progress(number / len(texts), f"Reading text {number + 1} of {len(texts)}")
        strings = model.prompt_strings(ids)
        tokens += [(number, pos, word) for pos, word in enumerate(strings)]
        with recorded(memories.places) as calls:
            model.next_logits([list(ids)])
        read = dict.fromkeys(map(id, memories.places), 0)
        for call in calls:
            first = read[id(call.place)]
            events += [(number, *row) for row in _reads(call, first)]
            read[id(call.place)] = first + call.reads.weight[:, :, 0, 0].numel()
            last = read[id(call.place)] - 1
            least = FAINT * max((write.strength for write in call.writes), default=0.0)
            events += [
                (number, last, call.place.name, -1, write.slot, write.kind, None, None, None,
                 write.strength)
                for write in call.writes if write.strength >= least
            ]  # fmt: skip
            if call.slots.space == "token position":
                # A token is a slot: it writes itself as it is read.
                events += [
                    (number, pos, call.place.name, -1, pos, "insert", None, None, None, 1.0)
                    for pos in range(first, last + 1)
                ]
    frame = pd.DataFrame(events, columns=_COLUMNS)
    numbers = ["weight", "gate", "size", "strength"]
    frame[numbers] = frame[numbers].astype(float)
    return pd.DataFrame(tokens, columns=["text", "pos", "token"]), frame


def _reads(call: MemoryRecord, first: int) -> list[tuple[Any, ...]]:
    """(pos, memory, head, slot, kind, weight, gate, size, strength) of one call, whose first token
    has this position.
    """
    reads = call.reads
    size = sizes(call.slots, reads).flatten(0, 1)  # token, head, read
    weight = reads.weight.flatten(0, 1)
    heads = size.shape[1]
    top = size.flatten(1).topk(min(TOP, size[0].numel()), -1)
    rows = []
    for pos in range(len(size)):
        for much, at in zip(top.values[pos].tolist(), top.indices[pos].tolist(), strict=True):
            head, read = divmod(at, size.shape[2])
            if much <= 0:
                continue
            slot = read if reads.index is None else int(reads.index.flatten(0, 1)[pos, head, read])
            gate = None
            if reads.gate is not None:
                gate = float(reads.gate.reshape(-1, heads)[pos, head])
            rows.append(
                (first + pos, call.place.name, head, slot, READ,
                 float(weight[pos, head, read]), gate, much, None)
            )  # fmt: skip
    return rows


def is_written(events: pd.DataFrame) -> bool:
    """Whether anything was written while the texts were read."""
    return bool((events["kind"] != READ).any())
