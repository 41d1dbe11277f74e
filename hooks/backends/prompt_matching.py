"""Which of the prompts a batch holds: `capture` chooses the batches, and some need what they
keep beside each prompt.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hooks.prompts import Prompts, ids_of

if TYPE_CHECKING:
    from hooks.batch import Batch
    from hooks.model import InstrumentedModel


class PromptMatcher:
    """The prompts of one capture, each to come by once. Equal prompts come in their order."""

    def __init__(self, model: InstrumentedModel, prompts: Prompts) -> None:
        self.ids = ids_of(model, prompts)
        self._rows: dict[tuple[int, ...], list[int]] = {}
        for row, ids in enumerate(self.ids):
            self._rows.setdefault(tuple(ids), []).append(row)

    @property
    def lengths(self) -> list[int]:
        return [len(ids) for ids in self.ids]

    @contextmanager
    def matched(self, batch: Batch) -> Iterator[list[int]]:
        """For each row of the batch, which prompt it is. Where it fails inside, they come by again:
        memory may have run out, and less is tried.
        """
        width = batch.input_ids.shape[1]
        pairs = zip(batch.input_ids.tolist(), batch.lengths, strict=True)
        came = [tuple(row[width - n :]) for row, n in pairs]
        rows = [self._rows[ids].pop(0) for ids in came]
        try:
            yield rows
        except BaseException:
            for ids, row in zip(reversed(came), reversed(rows), strict=True):
                self._rows[ids].insert(0, row)
            raise
