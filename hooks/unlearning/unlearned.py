"""A model that was to forget, as a change of its weights: applied for a while, taken back bit for
bit, kept as a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hooks.editing.edit import check_base
from hooks.unlearning.unlearning_log import UnlearningLog
from workbench.models.weight_delta import Delta
from workbench.reentrant import reentrant

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel


@dataclass(frozen=True)
class Unlearned:
    """What a method made.

    Attributes:
        method: as in `METHODS`.
        base: `weight_hash` on the card of the model it was made on. (`delta.weights` is that of the
            weights as they were then: they differ where other changes were on.)
        delta: the change.
        log: how it came about.
    """

    method: str
    base: str
    delta: Delta = field(repr=False)
    log: UnlearningLog

    @reentrant
    def applied(self, model: InstrumentedModel, share: float = 1.0) -> Iterator[None]:
        """The model as changed, for a while, `share` of the way; afterwards its weights are what
        they were, bit for bit. Several may be on, and be left in any order.

        Raises:
            BadInput: it was made on another model.
        """
        check_base(self.base, model)
        with self.delta.applied(model.module, share):
            yield

    def save(self, path: str | Path) -> Path:
        """Write it as a file that opens with its model: `wb.load("MODEL+FILE.safetensors")`.

        Raises:
            BadInput: the name does not end in .safetensors.
            WorkbenchError: it cannot be written, or is there already.
        """
        return self.delta.save(path)
