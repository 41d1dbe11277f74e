"""The rooms: where in a model the memory is that a question is about. Home, the Playground and the
folders of `analyses/` follow this order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workbench.registry import Analysis


@dataclass(frozen=True)
class Room:
    """A group of questions.

    Attributes:
        name: as an analysis states it in `room`; ours are in the folder of this name.
        title: what a person reads above the group.
        says: where the memory is.
    """

    name: str
    title: str
    says: str


ROOMS = (
    Room("prompt", "One prompt", "what happens inside the model while it answers"),
    Room("weights", "Weights", "facts and texts that training wrote"),
    Room("context", "Context", "what stands in the prompt, and its cache"),
    Room("state", "State", "what a recurrent layer carries along"),
    Room("modules", "Modules", "slots, experts, and the FFN read as a memory"),
    Room("features", "Features", "what a direction of the residual stream stands for"),
    Room("training", "Training", "how memories come and go while the weights change"),
    Room("card", "One model", "all of them together"),
)
OTHER = Room("", "Other questions", "from packages that name no place")
_BY_NAME = {room.name: room for room in ROOMS}


def room_of(module: Any) -> Room:
    """The room that an analysis states, or in whose folder it lies; `OTHER` where there is none."""
    stated = getattr(module, "room", None)
    if stated is None:
        top, _, rest = str(getattr(module, "__name__", "")).partition(".")
        stated = rest.partition(".")[0] if top == "analyses" else ""
    return _BY_NAME.get(str(stated), OTHER)


def grouped(analyses: Iterable[Analysis]) -> list[tuple[Room, list[Analysis]]]:
    """The rooms that have a question, in order, each with its questions; the one whose tab opens
    the Playground comes first.
    """
    listed = sorted(analyses, key=lambda a: not a.playground.leads)
    groups = [(room, [a for a in listed if a.room == room]) for room in (*ROOMS, OTHER)]
    return [(room, members) for room, members in groups if members]
