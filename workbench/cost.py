"""What a run costs: an analysis says how many tokens, one measured pass of the model says how long
that takes.

Tokens are counted, so they are the same on every machine; seconds are tokens times what one token
takes here. Forms, progress bars and listings use this and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

    from workbench.progress import Progress
    from workbench.registry import Analysis

_MINUTE, _HOUR = 60, 3600


@dataclass(frozen=True)
class Cost:
    """What some work takes, whatever the machine.

    A part of a pass counts as that part: a token that goes through the upper half of the layers is
    half a token.

    Attributes:
        forward: tokens that are read.
        passes: forward passes that these tokens share. Each reads all weights once, however few
            its tokens are: what decodes one token at a time costs mostly this.
        backward: tokens that gradients go back through to the residual stream; twice as many where
            gradients of the weights are taken too.
        bytes: held at once beyond the weights.
        seconds: of work that is not the model's own (a small model beside it, a simulation), as
            measured on two processor cores: no count of tokens says anything of it.
    """

    forward: float = 0.0
    passes: float = 0.0
    backward: float = 0.0
    bytes: float = 0.0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        """One after the other: the memory is that of the larger."""
        return Cost(
            self.forward + other.forward,
            self.passes + other.passes,
            self.backward + other.backward,
            max(self.bytes, other.bytes),
            self.seconds + other.seconds,
        )

    def __mul__(self, times: float) -> Cost:
        """As often, one after the other."""
        return Cost(
            self.forward * times,
            self.passes * times,
            self.backward * times,
            self.bytes,
            self.seconds * times,
        )


def total(costs: Iterable[Cost]) -> Cost:
    return reduce(Cost.__add__, costs, Cost())


@dataclass(frozen=True)
class Speed:
    """Seconds that one of each takes on this model and machine (see `hooks.speed`)."""

    forward: float
    passes: float
    backward: float

    def seconds(self, cost: Cost) -> float:
        return (
            self.forward * cost.forward
            + self.passes * cost.passes
            + self.backward * cost.backward
            + cost.seconds
        )


# Of a model that cannot be measured (a stand-in): only shares are asked of it.
_NOMINAL = Speed(forward=1e-3, passes=2e-2, backward=2e-3)


def measure(model: Any) -> Speed:
    """How long a token takes, from one short measured pass; kept by the model."""
    return getattr(model, "speed", _NOMINAL)


@dataclass(frozen=True)
class Estimate:
    """What a run will take here: seconds, and bytes beyond the weights."""

    seconds: float
    bytes: float

    @classmethod
    def of(cls, model: Any, cost: Cost) -> Estimate:
        own = Cost(bytes=cost.bytes, seconds=cost.seconds)
        # What does not read the model need not measure it.
        return cls(cost.seconds if cost == own else measure(model).seconds(cost), cost.bytes)


def by_part(analysis: Analysis, model: Any, params: BaseModel) -> dict[str, Estimate]:
    """What each part takes by itself; one entry "" where an analysis has no parts.

    Empty where an analysis does not state its cost.
    """
    return {name: Estimate.of(model, cost) for name, cost in analysis.cost(model, params).items()}


def estimate(analysis: Analysis, model: Any, params: BaseModel) -> Estimate | None:
    """What a run with these parameters takes: the parts that it runs; None where the analysis
    does not state its cost.
    """
    return of_running(analysis, model, params, analysis.cost(model, params))


def of_running(
    analysis: Analysis, model: Any, params: BaseModel, stated: Mapping[str, Cost]
) -> Estimate | None:
    """As `estimate`, of costs that the analysis has stated for these parameters."""
    if not stated:
        return None
    running = analysis.running(params) or set(stated)
    return Estimate.of(model, total(cost for name, cost in stated.items() if name in running))


def of_parts(costs: Mapping[str, Mapping[str, Cost]], running: Iterable[str]) -> dict[str, Cost]:
    """The stages of the parts that are run, in the order in which they are stated."""
    wanted = set(running)
    return {
        stage: cost
        for part, each in costs.items()
        if part in wanted
        for stage, cost in each.items()
    }


def stages(progress: Progress, model: Any, costs: Mapping[str, Cost]) -> dict[str, Progress]:
    """A progress for each stage of a job, in order, as wide as its share of the seconds."""
    speed = measure(model)
    seconds = {name: speed.seconds(cost) for name, cost in costs.items()}
    whole, at, parts = sum(seconds.values()) or 1.0, 0.0, {}
    for name, wide in seconds.items():
        parts[name] = progress.subprogress(at / whole, (at + wide) / whole)
        at += wide
    return parts


def is_moment(seconds: float) -> bool:
    """Whether nobody needs to know beforehand."""
    return seconds < 8


def in_words(seconds: float) -> str:
    """ "about 3 min": an estimate is no more exact than that."""
    if is_moment(seconds):
        return "a few seconds"
    if seconds < 1.5 * _MINUTE:
        return f"about {round(seconds, -1):.0f} s"
    if seconds < 1.5 * _HOUR:
        return f"about {seconds / _MINUTE:.0f} min"
    return f"about {seconds / _HOUR:.0f} h"
