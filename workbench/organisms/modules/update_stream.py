"""A stream of updates and questions: `k5 v7` sets a key, `? k5` asks for it, and the answer is the
value that it was given last; it is not written into the stream. Every token of it is made, so what
a memory must hold is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

KEYS, VALUES = 12, 24
ACTIVE = 6
"""Keys that a stream is about."""
EVENTS = 48
PAD, ASK, FIRST_KEY = 0, 1, 2
FIRST_VALUE = FIRST_KEY + KEYS
VOCABULARY = FIRST_VALUE + VALUES
NOT_ASKED = -100


@dataclass(frozen=True)
class Stream:
    """Rows of events of two tokens.

    Attributes:
        ids: (row, 2 × event).
        asks: whether an event is a question, (row, event).
        key, value: of each event, counted from 0; of a question the answer.
        since: updates of any key between the one that is asked for and the question, (row, event);
            of updates, 0.
        times: how often the key was updated before, (row, event).
    """

    ids: torch.Tensor
    asks: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    since: torch.Tensor
    times: torch.Tensor

    @property
    def labels(self) -> torch.Tensor:
        """(row, token): at the key of a question, its answer; elsewhere `NOT_ASKED`."""
        import torch

        labels = torch.full_like(self.ids, NOT_ASKED)
        labels[:, 1::2] = torch.where(self.asks, FIRST_VALUE + self.value, NOT_ASKED)
        return labels


def make(rows: int, generator: torch.Generator, events: int = EVENTS) -> Stream:
    """Streams that set every active key once, and go on with updates and questions by lot."""
    import torch

    def lot(high: int, *shape: int) -> torch.Tensor:
        return torch.randint(high, shape, generator=generator)

    active = torch.rand(rows, KEYS, generator=generator).argsort(-1)[:, :ACTIVE]
    asks = torch.rand(rows, events, generator=generator) < 0.5
    asks[:, :ACTIVE] = False
    which = lot(ACTIVE, rows, events)
    which[:, :ACTIVE] = torch.arange(ACTIVE)
    drawn = lot(VALUES, rows, events)
    each = torch.arange(rows)
    now = torch.zeros(rows, ACTIVE, dtype=torch.long)
    counted, last = torch.zeros_like(now), torch.zeros_like(now)
    updates = torch.zeros(rows, dtype=torch.long)
    value, since, times = (torch.zeros(rows, events, dtype=torch.long) for _ in range(3))
    for event in range(events):
        slot, ask = which[:, event], asks[:, event]
        times[:, event] = counted[each, slot]
        since[:, event] = torch.where(ask, updates - last[each, slot], 0)
        now[each, slot] = torch.where(ask, now[each, slot], drawn[:, event])
        value[:, event] = now[each, slot]
        updates = updates + ~ask
        counted[each, slot] += (~ask).long()
        last[each, slot] = torch.where(ask, last[each, slot], updates)
    key = active.gather(1, which)
    first = torch.where(asks, ASK, FIRST_KEY + key)
    second = torch.where(asks, FIRST_KEY + key, FIRST_VALUE + value)
    ids = torch.stack([first, second], -1).flatten(1)
    return Stream(ids, asks, key, value, since, times)


def make_tokenizer() -> Any:
    """A tokenizer of words between spaces: `.`, `?`, `k1` … `k12`, `v1` … `v24`."""
    from workbench.organisms.recall.task import tokenizer_of

    keys = [f"k{n + 1}" for n in range(KEYS)]
    return tokenizer_of([".", "?", *keys, *(f"v{n + 1}" for n in range(VALUES))])
