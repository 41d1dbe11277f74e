"""Experiments of an analysis that run alone or together.

An analysis lists them in `PARTS`, and `Params.parts` names those that a run is asked for. A part
that stands on another brings it along; one that needs a parameter is left out while that is not
set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel

PAPER = "paper"
"""The preset with every part that the model allows, at the sizes of the paper."""


@dataclass(frozen=True)
class Part:
    """One experiment.

    Attributes:
        name: as `Params.parts` has it.
        title: what a person reads.
        gives: one sentence: what one learns from it.
        needs: parameters that must be set for it.
        stands_on: parts whose results it uses.
        views: titles of the views that only a run with this part has.
        unavailable_reason: why a model cannot have it, or None.
    """

    name: str
    title: str
    gives: str
    needs: Sequence[str] = ()
    stands_on: Sequence[str] = ()
    views: Sequence[str] = ()
    unavailable_reason: Callable[[Any], str | None] = lambda model: None

    def unset(self, params: BaseModel) -> list[str]:
        """Parameters that it needs and that are not set."""
        return [name for name in self.needs if not getattr(params, name)]


def running(parts: Sequence[Part], params: BaseModel) -> set[str]:
    """Names of the parts that a run with these parameters has."""
    by_name = {part.name: part for part in parts}
    return with_their_ground(
        parts, [name for name in getattr(params, "parts", ()) if not by_name[name].unset(params)]
    )


def with_their_ground(parts: Sequence[Part], names: Iterable[str]) -> set[str]:
    """These parts and all that they stand on; names of none are left out."""
    by_name = {part.name: part for part in parts}
    wanted, found = [name for name in names if name in by_name], set[str]()
    while wanted:
        name = wanted.pop()
        if name not in found:
            found.add(name)
            wanted += by_name[name].stands_on
    return found


def possible(parts: Sequence[Part], model: Any, values: Mapping[str, Any]) -> list[str]:
    """Parts that this model allows and whose parameters are set in `values`."""
    return [
        part.name
        for part in parts
        if part.unavailable_reason(model) is None and all(values.get(name) for name in part.needs)
    ]
