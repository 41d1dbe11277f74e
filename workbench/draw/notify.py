"""What a click changes, on its way to a page or a notebook."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

P = ParamSpec("P")


def notify_changed(pane: Any) -> None:
    """Say that the Bokeh figure of a pane was changed in place: a notebook has to be told, a
    served page knows.
    """
    from panel.io.notebook import push_notebook

    push_notebook(pane)


def as_one_message(handler: Callable[P, object]) -> Callable[P, None]:
    """A handler of a click, all of whose changes reach the browser together: of several messages
    each is laid out and painted by itself.
    """

    @wraps(handler)
    def held(*args: P.args, **kwargs: P.kwargs) -> None:
        import panel as pn

        with pn.io.hold():
            handler(*args, **kwargs)

    return held


def on_tap(figure: Any, tapped: Callable[[float, float, bool], object]) -> None:
    """Call with each click inside the axes of a Bokeh figure: where, in units of the axes, and
    whether the shift key was held.
    """
    from bokeh.events import Tap

    @as_one_message
    def inside(event: Tap) -> None:
        if event.x is not None and event.y is not None and math.isfinite(event.x + event.y):
            held: Any = event.modifiers or {}  # an object or its dict, as bokeh's version has it
            shift = held.get("shift") if isinstance(held, dict) else held.shift
            tapped(event.x, event.y, bool(shift))

    figure.on_event(Tap, inside)
