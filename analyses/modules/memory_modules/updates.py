"""A stream of updates: how much of it a memory retains, how much each update turns over, and what
is answered without the slot that a key stands in, or without the key's last write.

Streams of `workbench.organisms.modules.update_stream`: an event is a call of the memory.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch

from analyses.measures.statistics import wilson
from analyses.modules.memory_modules.constants import (
    OFF,
    OTHER_SLOT,
    OWN_SLOT,
    UPDATE_CHANGES,
    WHOLE,
    WRITE_SKIPPED,
)
from hooks.memory_modules import masked, recorded, switched_off, writes_skipped
from workbench.organisms.modules import update_stream
from workbench.organisms.modules.update_stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from analyses.modules.memory_modules.fact_slots import Memories
    from hooks.memory_modules import MemoryPlace
    from hooks.model import InstrumentedModel
    from workbench.progress import Progress

STREAMS, ASKED = 128, 48
"""Streams that are read, and of them those one question of which is asked after each change."""
LENGTH = 2 * update_stream.EVENTS
_SINCE = (0, 1, 2, 4, 8, 16, update_stream.EVENTS)
_LATER = (1, 2, 4, 8, 16)
_FAR = 2
"""Updates between a key's own and its question, behind which attention sees it no more."""


def streams(seed: int, rows: int = STREAMS) -> Stream:
    """What is read."""
    return update_stream.make(rows, torch.Generator().manual_seed(seed))


def read_updates(
    model: InstrumentedModel, memories: Memories, seed: int, progress: Progress
) -> dict[str, pd.DataFrame]:
    """Tables by name: retention, turnover, update_changes."""
    progress(0.0, "Reading streams of updates")
    place, stream = memories.places[0], streams(seed)
    with recorded([place]) as calls:
        before = _said(model, stream.ids)
    held = [call.slots.value for call in calls] + [place.slots().value]
    # (event, row, slot, d_model), and behind the last event
    slots = torch.stack([each[:, 0] for each in held if each is not None]).cpu()
    with switched_off(place):
        without = _said(model, stream.ids)
    return {
        "retention": _by_since(stream, before, without),
        "turnover": _turnover(stream, slots),
        "update_changes": _update_changes(model, place, stream, slots, progress),
    }


def _said(model: InstrumentedModel, ids: torch.Tensor) -> torch.Tensor:
    """The likeliest token behind each event, (row, event)."""
    logits = model.forward(input_ids=ids.to(model.device), use_cache=False).logits
    said: torch.Tensor = logits[:, 1::2].argmax(-1).cpu()
    return said


def _by_since(stream: Stream, before: torch.Tensor, without: torch.Tensor) -> pd.DataFrame:
    """Share of questions that are answered, by updates since the key's own."""
    import pandas as pd

    right = update_stream.FIRST_VALUE + stream.value
    rows = []
    for low, high in pairwise(_SINCE):
        here = stream.asks & (stream.since >= low) & (stream.since < high)
        n = int(here.sum())
        if not n:
            continue
        hits = int((before == right)[here].sum())
        left = float((without == right)[here].float().mean())
        name = str(low) if high == low + 1 else f"{low} to {high - 1}"
        rows.append((name, low, hits / n, *wilson(hits, n), left, n))
    columns = ["updates", "from", "with_memory", "low", "high", "without", "n"]
    return pd.DataFrame(rows, columns=columns)


def _changed(slots: torch.Tensor) -> torch.Tensor:
    """Length of what an event changed in each slot, (row, event, slot)."""
    length: torch.Tensor = (slots[1:] - slots[:-1]).norm(dim=-1)
    return length.transpose(0, 1)


def _turnover(stream: Stream, slots: torch.Tensor) -> pd.DataFrame:
    """Of an update's change the share that lies in one slot, the same at a question, how often a
    key goes into the slot of its last update; then, after so many further updates of other keys,
    how alike what stands in a key's slot is to what was written (cosine).
    """
    import pandas as pd

    changed = _changed(slots)
    update = ~stream.asks
    share = (changed.max(-1).values / changed.sum(-1).clamp(min=1e-9))[update]
    asked = (changed.max(-1).values / changed.sum(-1).clamp(min=1e-9))[stream.asks]
    most = changed.argmax(-1)
    same, pairs = 0, 0
    alike: dict[int, list[float]] = {later: [] for later in _LATER}
    for row in range(len(update)):
        last: dict[int, int] = {}
        for event in update[row].nonzero()[:, 0].tolist():
            key = int(stream.key[row, event])
            if key in last:
                pairs += 1
                same += int(most[row, event] == most[row, last[key]])
            last[key] = event
            _alike(alike, stream, slots, row, event, int(most[row, event]))
    found: list[tuple[Any, ...]] = [
        ("change of an update that lies in one slot", float(share.mean()), len(share)),
        ("change at a question that lies in one slot", float(asked.mean()), len(asked)),
        ("updates that go into the slot of the key's last one", same / max(1, pairs), pairs),
    ]
    for later, values in alike.items():
        if values:
            what = f"likeness of a slot after {later} further updates of other keys"
            found.append((what, sum(values) / len(values), len(values)))
    return pd.DataFrame(found, columns=["what", "value", "n"])


def _alike(
    found: dict[int, list[float]],
    stream: Stream,
    slots: torch.Tensor,
    row: int,
    event: int,
    slot: int,
) -> None:
    """Adds how alike a slot is after further updates, as long as its key is not updated again."""
    written, others = slots[event + 1, row, slot], 0
    for later in range(event + 1, stream.ids.shape[1] // 2):
        if stream.asks[row, later]:
            continue
        if stream.key[row, later] == stream.key[row, event]:
            return
        others += 1
        if others in found:
            now = slots[later + 1, row, slot]
            found[others].append(float(torch.cosine_similarity(now, written, dim=0)))


def _update_changes(
    model: InstrumentedModel,
    place: MemoryPlace,
    stream: Stream,
    slots: torch.Tensor,
    progress: Progress,
) -> pd.DataFrame:
    """One question of each of some streams after each change: share that gives the last value, and
    the value before. The other slot that is masked is one in which another key stands.
    """
    import pandas as pd

    most = _changed(slots).argmax(-1)
    chosen = [
        (row, *events, other)
        for row in range(len(stream.ids))
        if (events := _question(stream, row))
        and (other := _other_slot(stream, most, row, *events[:2])) is not None
    ][:ASKED]
    counts = {what: [0, 0] for what in UPDATE_CHANGES}
    for number, (row, ask, last, before, other) in enumerate(chosen):
        progress(number / len(chosen), f"Updates: stream {number + 1} of {len(chosen)}")
        ids = stream.ids[row : row + 1, : 2 * ask + 2]
        own = int(most[row, last])
        for what in UPDATE_CHANGES:
            with _change(place, what, own, other, last):
                said = int(_said(model, ids)[0, -1]) - update_stream.FIRST_VALUE
            counts[what][0] += said == int(stream.value[row, last])
            counts[what][1] += said == int(stream.value[row, before])
    n = len(chosen)
    rows = [
        (what, now / n, *wilson(now, n), old / n, *wilson(old, n), n)
        for what, (now, old) in counts.items()
    ]
    columns = ["change", "now", "low", "high", "old", "old_low", "old_high", "n"]
    return pd.DataFrame(rows, columns=columns)


def _question(stream: Stream, row: int) -> tuple[int, int, int] | None:
    """(question, the key's last update, the one before) of the last question that is far enough
    from an update that changed the value; None where there is none.
    """
    asks = stream.asks[row] & (stream.since[row] >= _FAR) & (stream.times[row] >= 2)
    for ask in asks.nonzero()[:, 0].flip(0).tolist():
        mine = ~stream.asks[row, :ask] & (stream.key[row, :ask] == stream.key[row, ask])
        *_, before, last = mine.nonzero()[:, 0].tolist()
        if stream.value[row, before] != stream.value[row, last]:
            return ask, last, before
    return None


def _other_slot(stream: Stream, most: torch.Tensor, row: int, ask: int, last: int) -> int | None:
    """The slot of the latest update of another key before a question, which is not the slot of the
    question's own key; None where there is none.

    Args:
        most: the slot that each event changed most, (row, event); last: the key's last update.
    """
    others = ~stream.asks[row, :ask] & (stream.key[row, :ask] != stream.key[row, ask])
    slots: list[int] = most[row, :ask][others].flip(0).tolist()
    return next((slot for slot in slots if slot != most[row, last]), None)


@contextmanager
def _change(place: MemoryPlace, what: str, own: int, other: int, event: int) -> Iterator[None]:
    changes: dict[str, AbstractContextManager[Any]] = {
        OWN_SLOT: masked(place, [own]),
        OTHER_SLOT: masked(place, [other]),
        OFF: switched_off(place),
    }
    with ExitStack() as stack:
        if what in changes:
            stack.enter_context(changes[what])
        elif what == WRITE_SKIPPED:
            at = [-1]
            handle = place.module.register_forward_pre_hook(
                lambda _, args: at.__setitem__(0, at[0] + 1)
            )
            stack.callback(handle.remove)
            stack.enter_context(writes_skipped(place, lambda write: at[0] == event))
        else:
            assert what == WHOLE
        yield
