"""What the model said before it was changed: worked out when it is first needed, and remembered
while there is room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hooks.unlearning.texts import Text, target_log_p, target_logits

if TYPE_CHECKING:
    from hooks.model import InstrumentedModel
    from hooks.unlearning.trained_weights import TrainedWeights

ROOM = 2**29  # bytes; beyond it a text is read again each time
Read = Callable[[Sequence[Text]], list[Tensor]]
"""Something that is read of texts in one pass: a tensor for each."""


class OriginalModel:
    """The model without the change that is being trained.

    Args:
        room: bytes that may be remembered.
    """

    def __init__(self, model: InstrumentedModel, trained: TrainedWeights, room: int = ROOM) -> None:
        self.model, self._trained, self._room = model, trained, room
        self._known: dict[tuple[str, Text], Tensor] = {}

    def __call__(self, what: str, texts: Sequence[Text], read: Read) -> list[Tensor]:
        """What `read` gives for these texts; `what` names it."""
        missing = [t for t in dict.fromkeys(texts) if (what, t) not in self._known]
        new: dict[Text, Tensor] = {}
        if missing:
            with torch.no_grad(), self._trained.off():
                new = dict(zip(missing, read(missing), strict=True))
            for text, tensor in new.items():
                self._room -= tensor.nbytes
                if self._room > 0:
                    self._known[what, text] = tensor
        return [new[t] if t in new else self._known[what, t] for t in texts]

    def logits(self, texts: Sequence[Text]) -> list[Tensor]:
        """Of the predicted tokens of each text, (target, d_vocab)."""
        return self("logits", texts, lambda some: [x for x, _ in target_logits(self.model, some)])

    def log_p(self, texts: Sequence[Text]) -> list[Tensor]:
        """ln p of the predicted tokens of each text, (target,)."""
        return self("log p", texts, lambda some: target_log_p(self.model, some))
