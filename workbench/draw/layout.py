"""Where Panel objects stand on a page: columns that a narrow page can narrow, boxes beside others,
and a button for a file.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

from workbench.draw.view import NARROW, STYLES, need_panel


def narrow_column(*objects: Any, **options: Any) -> Any:
    """Panel objects from top to bottom, as wide as their place."""
    wide = {"sizing_mode": "stretch_width", "min_width": 0, "stylesheets": [NARROW]}
    return need_panel().Column(*objects, **{**wide, **options})


def box(objects: Sequence[Any], width: int = 0, is_sticky: bool = False) -> Any:
    """Panel objects from top to bottom in a box that stands beside others.

    Args:
        width: how wide it wants to be in pixels; 0 is as wide as what is in it.
        is_sticky: it stays in sight while the others scroll by.
    """
    styles = {"flex": f"1 1 {width}px"} if width else {"max-width": "100%"}
    if is_sticky:
        styles |= {"position": "sticky", "top": "8px", "align-self": "flex-start"}
    return narrow_column(*objects, styles=styles, **({} if width else _as_wide_as(objects)))


def _as_wide_as(objects: Sequence[Any]) -> dict[str, Any]:
    """A box beside others is as wide as the words in it, and its pictures would be cut off."""
    panes = [pane for one in objects for pane in one.select(need_panel().pane.Bokeh)]
    wide = max((pane.object.width or 0 for pane in panes), default=0)
    narrow = f":host {{ min-width: min({wide}px, 100%) !important; }}"
    return {"sizing_mode": None, "stylesheets": [narrow if wide else NARROW]}


def download_button(label: str, name: str, file: Callable[[], bytes]) -> Any:
    """A button that gives a file, whose bytes are made when it is pressed."""
    return need_panel().widgets.FileDownload(
        callback=lambda: io.BytesIO(file()),
        filename=name,
        label=label,
        width=240,
        stylesheets=[STYLES],
        margin=(20, 0, 6, 0),
    )
