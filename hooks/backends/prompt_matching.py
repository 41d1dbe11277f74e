"""Which of the prompts a batch holds: `capture` chooses the batches, and some need what they
keep beside each prompt.
"""

from __future__ import annotations

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

    def match(self, batch: Batch) -> list[int]:
        """For each row of the batch, which prompt it is."""
        width = batch.input_ids.shape[1]
        pairs = zip(batch.input_ids.tolist(), batch.lengths, strict=True)
        return [self._rows[tuple(row[width - n :])].pop(0) for row, n in pairs]
