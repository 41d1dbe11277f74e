"""What the rest of the Playground needs of a tab that is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


def _nothing(ready: Any) -> None:
    pass


@dataclass(frozen=True)
class FormTab:
    """A tab with a form.

    Attributes:
        fits: outputs that depend on the model.
        fit: what they are once there is a model.
        first: called with the event after which the model is there: does what the page's address
            asks for.
    """

    fits: list[Any] = field(default_factory=list)
    fit: Callable[[], list[Any]] = list
    first: Callable[[Any], None] = _nothing
