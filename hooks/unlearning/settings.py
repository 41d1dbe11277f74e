"""How far unlearning is to go, and how it goes there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from workbench.errors import BadInput

Scope = Literal["all", "lora"]
"""All matrices of the layers, or matrices of low rank beside those of attention and MLP."""


@dataclass(frozen=True)
class Concept:
    """Texts that are put before a passage to say who writes it, of which ELM takes the difference.

    Attributes:
        expert: as somebody writes who knows the concept.
        novice: as somebody writes who does not.
        turn: what stands between a prompt and the fluent text that leads away from the concept.
    """

    expert: tuple[str, ...]
    novice: tuple[str, ...]
    turn: str = " This is about something else."

    def __post_init__(self) -> None:
        if not (self.expert and self.novice):
            raise BadInput(
                "A concept needs texts of an expert and of a novice.",
                "one of each, or more",
                "Name them.",
            )


@dataclass(frozen=True)
class Settings:
    """How texts are unlearned.

    Attributes:
        aim: mean nats per predicted token, averaged over the texts to forget, at which these count
            as forgotten: a retrained model's on them, or the model's own on unseen text.
        steps: of Adam, at most, at each rate.
        rates: how far a weight moves in a step, in standard deviations of its matrix; tried from
            small to large until one reaches the aim; None is `run_method.RATES`. Where only a share
            of the weights is trained, each moves farther by one over the share's square root. A
            rate that is not a quarter of the way after half of the steps is given up for the next.
        batch: texts to forget, and texts to retain, in a step.
        weights: None is "all" of a model with less than 20 M parameters, "lora" of a larger one.
            RMU trains down projections, `mask` single weights of all matrices.
        seed: of the order of texts and of what is drawn.
        beta: NPO's, SimNPO's or UNDIAL's; None is the paper's, of NPO a smaller one where texts are
            long (see `methods.FADED`).
        retain_weight: of the retain term; None is 1, of RMU 10.
        share: of all weights, what `mask` may change.
        layer: of RMU; None is the method's choice.
        steer: length to which RMU pushes hidden states, in mean lengths of those of the forget
            texts.
        concept: for ELM.
    """

    aim: float
    steps: int = 60
    rates: tuple[float, ...] | None = None
    batch: int = 16
    weights: Scope | None = None
    seed: int = 0
    beta: float | None = None
    retain_weight: float | None = None
    share: float = 0.01
    layer: int | None = None
    steer: float = 5.0
    concept: Concept | None = None

    def __post_init__(self) -> None:
        no_rate = self.rates is not None and not (self.rates and min(self.rates) > 0)
        if self.steps < 1 or self.batch < 1 or no_rate:
            raise BadInput(
                f"{self.steps} steps with {self.batch} texts at rates {self.rates} train nothing.",
                "a step or more, a text or more, and rates above 0",
                "Raise them.",
            )
        if not math.isfinite(self.aim):
            raise BadInput(
                f"No loss reaches {self.aim}.", "a number of nats per token", "Name one."
            )
        if not 0 < self.share <= 1:
            raise BadInput(
                f"A share of {self.share} of the weights cannot be changed.",
                "above 0, at most 1",
                "Name another.",
            )
        if self.beta is not None and not self.beta > 0:
            raise BadInput(f"beta cannot be {self.beta}.", "above 0", "Name another.")
