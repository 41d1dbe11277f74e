"""How unlearning went, step by step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class UnlearningLog:
    """How a change came about. What is listed by step is of the batch of that step, before the
    step is taken; the last entry is of the weights that are kept, or of those that exploded.

    Attributes:
        forget: nats per token of texts to forget, by step.
        retain: the same of texts to retain; nan where none were given.
        divergence: KL from the original on these, nats per token; nan for methods without it.
        total: what is minimised, by step.
        whole: (step, nats per token of all texts to forget), where they were all read.
        rate: of the steps; the first that reached the aim, or the one that came nearest.
        step: whose weights are kept. Of a task vector see `alpha`.
        alpha: how many task vectors were taken off; None for other methods.
        stopped: why it ended, in a sentence.
        reached: whether the texts count as forgotten.
        notes: what else is to be known, in sentences: the rates that were tried before.
    """

    forget: tuple[float, ...] = ()
    retain: tuple[float, ...] = ()
    divergence: tuple[float, ...] = ()
    total: tuple[float, ...] = ()
    whole: tuple[tuple[int, float], ...] = ()
    rate: float = float("nan")
    step: int = 0
    alpha: float | None = None
    stopped: str = ""
    reached: bool = False
    notes: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, read: dict[str, Any]) -> UnlearningLog:
        """The log that `dataclasses.asdict` gave, as JSON has it."""
        lists = {
            name: tuple(tuple(x) if isinstance(x, list) else x for x in value)
            for name, value in read.items()
            if isinstance(value, list)
        }
        return cls(**{**read, **lists})

    @property
    def steps(self) -> int:
        """How many were taken."""
        return max(0, len(self.total) - 1)

    def with_batch(
        self, forget: float, retain: float, divergence: float, total: float
    ) -> UnlearningLog:
        """And one step more."""
        return replace(
            self,
            forget=(*self.forget, forget),
            retain=(*self.retain, retain),
            divergence=(*self.divergence, divergence),
            total=(*self.total, total),
        )
