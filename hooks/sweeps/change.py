"""What a component is set to: zero, a mean, a value drawn at random, that of another run, or its
own with noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from hooks.prompts import Prompts
from hooks.sweeps.arguments import WhichPositions, check_name, check_positions
from workbench.errors import BadInput, NotFound

Align = Literal["start", "end"]
ChangeName = Literal["zero", "noise"]


@dataclass(frozen=True)
class Change:
    """A way to change a component. See the classes that are one."""

    name: ClassVar[str] = ""


@dataclass(frozen=True)
class Zero(Change):
    """Set to zero."""

    name: ClassVar[str] = "zero"


@dataclass(frozen=True)
class Mean(Change):
    """Set to the mean over positions of the reference prompts.

    Args:
        reference: the prompts.
        positions: which of their positions count: "all", "last", or a list (-1 is the last).

    Raises:
        BadInput: no prompts, or no positions.
    """

    reference: Prompts
    positions: WhichPositions = "all"
    name: ClassVar[str] = "mean"

    def __post_init__(self) -> None:
        _check_prompts(self, "reference")
        object.__setattr__(self, "positions", check_positions(self.positions))


@dataclass(frozen=True)
class Resample(Change):
    """Set to the value of a position drawn from the reference prompts.

    Each position of a prompt draws for itself, once for all layers, as `wb.ablate` draws.

    Raises:
        BadInput: no prompts, or a seed that is no whole number.
    """

    reference: Prompts
    seed: int = 0
    name: ClassVar[str] = "resample"

    def __post_init__(self) -> None:
        _check_prompts(self, "reference")
        check_seed(self.seed)


@dataclass(frozen=True)
class Patch(Change):
    """Set to the value that another run has there (activation patching).

    Args:
        source: per prompt the one to take values from, or one for all.
        align: which position of the source belongs to which: counted from the "start" or from the
            "end". Where only the last or negative positions are changed it is the end. Positions
            the source does not have keep their value.

    Raises:
        NotFound, BadInput: no prompts, or another alignment.
    """

    source: Prompts
    align: Align = "start"
    name: ClassVar[str] = "patch"

    def __post_init__(self) -> None:
        _check_prompts(self, "source")
        check_name("alignment", self.align, ["start", "end"])


@dataclass(frozen=True)
class Noise(Change):
    """Its own value plus a normal draw (causal tracing, Meng et al. 2022).

    Args:
        std: in standard deviations of the token embeddings as they enter the first layer.

    Raises:
        BadInput: no finite number from 0 on, or a seed that is no whole number.
    """

    std: float = 3.0
    seed: int = 0
    name: ClassVar[str] = "noise"

    def __post_init__(self) -> None:
        if (
            isinstance(self.std, bool)
            or not isinstance(self.std, int | float)
            or not 0 <= self.std < math.inf
        ):
            raise BadInput(
                f"Noise cannot have the standard deviation {self.std!r}.",
                "a number from 0 on, in standard deviations of the token embeddings",
                "For example Noise(3.0).",
            )
        check_seed(self.seed)


CHANGES: dict[str, type[Change]] = {
    each.name: each for each in (Zero, Mean, Resample, Patch, Noise)
}
_LACKS = {"mean": "reference", "resample": "reference", "patch": "source"}


def as_changes(given: Change | ChangeName | Sequence[Change | ChangeName]) -> list[Change]:
    """One change or several, also by their short names.

    Raises:
        NotFound, BadInput: see `as_change`; none at all.
    """
    if isinstance(given, str) or not isinstance(given, Sequence):
        return [as_change(given)]
    if not given:
        raise BadInput("There is no change.", "one, or several in a list", "Give some.")
    return [as_change(each) for each in given]


def labels(changes: Sequence[Change]) -> list[str]:
    """Their names; those of one kind are numbered from 0 on, as in "patch 0", "patch 1"."""
    names = [each.name for each in changes]
    return [
        name if names.count(name) == 1 else f"{name} {names[:i].count(name)}"
        for i, name in enumerate(names)
    ]


def as_change(given: Change | str) -> Change:
    """A change, also by its short name.

    Raises:
        NotFound: an unknown name.
        BadInput: a name of one that takes prompts.
    """
    if isinstance(given, Change):
        return given
    if not isinstance(given, str) or given not in CHANGES:
        raise NotFound.named(
            "way to change a component", str(given), CHANGES, "Or give wb.Zero(), …."
        )
    if given in _LACKS:
        spelled = f"{CHANGES[given].__name__}({_LACKS[given]}=…)"
        raise BadInput(
            f"The {_LACKS[given]} is missing: {given!r} takes values from other prompts.",
            f"change=wb.{spelled}",
            "Give them.",
        )
    return CHANGES[given]()


def check_seed(seed: Any) -> None:
    """Raises BadInput for what is no whole number."""
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise BadInput(f"{seed!r} is no seed.", "a whole number", "For example seed=0.")


def _check_prompts(change: Change, name: str) -> None:
    """Some prompts are there, and can be read more than once. Raises BadInput."""
    prompts = getattr(change, name)
    if isinstance(prompts, Iterator):
        prompts = tuple(prompts)
        object.__setattr__(change, name, prompts)
    empty = isinstance(prompts, Sized) and getattr(prompts, "ndim", 1) != 0 and not len(prompts)
    if prompts is None or empty:
        raise BadInput(
            f"{type(change).__name__} has no {name} prompts.",
            "a text, token ids, a conversation, or a list of those",
            f"For example {type(change).__name__}({name}=[…]).",
        )
