"""Bringing values from a card, and indices to it, while it goes on computing.

A copy that is waited for inside a hook lets the card run dry at every layer. Values are only
ordered there, in the card's own order (so what the model later writes over has been copied before),
and waited for once; indices are sent once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor

MOST = 512 * 2**20
"""Bytes on their way at once: they go into memory that the system cannot swap out."""


@dataclass
class Fetching:
    """Tensors on their way, each list with who gets it."""

    _waiting: list[tuple[list[Tensor], Callable[[list[Tensor]], None]]] = field(
        default_factory=list
    )
    _nbytes: int = 0
    _cards: set[torch.device] = field(default_factory=set)

    def send(self, outputs: Sequence[Tensor], then: Callable[[list[Tensor]], None]) -> None:
        """`then` is called with tensors of this machine's memory: at once, or by `arrive` if
        they lie on a card.
        """
        if not any(_on_a_card(x) for x in outputs):
            then(list(outputs))
            return
        self._cards |= {x.device for x in outputs if _on_a_card(x)}
        self._waiting.append(([x.detach().to("cpu", non_blocking=True) for x in outputs], then))
        self._nbytes += sum(x.numel() * x.element_size() for x in outputs)
        if self._nbytes > MOST:
            self.arrive()

    def arrive(self) -> None:
        """Wait for what is on its way, and hand it over in its order."""
        if not self._waiting:
            return
        for place in self._cards:
            torch.cuda.synchronize(place)
        waiting, self._waiting, self._nbytes = self._waiting, [], 0
        for fetched, then in waiting:
            then(fetched)


@lru_cache(maxsize=512)
def indices(values: tuple[int, ...], device: torch.device) -> Int[Tensor, " n"]:
    """Whole numbers as a tensor there, (n,).

    Not to be written to: the next who asks gets the same one.
    """
    # It may be asked for first where nothing is differentiated, and later where it is.
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=torch.long, device=device)


def _on_a_card(x: Tensor) -> bool:
    return x.device.type == "cuda"
