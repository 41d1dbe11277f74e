"""What a click in a picture chooses, where that is no head (`head_grids.link_grid`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bokeh.events import Tap


def link_rows(pane: Any, choose: Callable[[int], object]) -> None:
    """A click chooses the row it falls into.

    Args:
        pane: a Panel pane whose object is the Bokeh figure of a `pattern`.
    """
    from bokeh.events import Tap

    def tapped(event: Tap) -> None:
        if event.y is not None and event.y == event.y and round(event.y) >= 0:
            choose(round(event.y))

    pane.object.on_event(Tap, tapped)
