"""Pictures as Bokeh figures: drawn by HoloViews once, kept as JSON, and made into models again
where they are shown.

Drawing a tab through HoloViews takes half a second and more; what is kept as JSON costs a third of
that in Python, and nothing at all where the browser reads it itself
(`ui/runs/static_views.py`). What is linked to a page is linked afterwards, on the Bokeh figure
(`heads.link_grid`, `charts.fill_bars`), so that both ways give the same picture.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.draw import style

DRAWING = threading.RLock()
"""Held while HoloViews makes or draws elements: its tree of options is global, and a server
draws from several threads.
"""


@dataclass(frozen=True)
class Figure:
    """A picture that is drawn already.

    Args:
        document: a Bokeh document as JSON with the figure as its one root (`doc` of a `json_item`).
    """

    document: Mapping[str, Any]


def render(element: Any) -> Any:
    """A HoloViews element as a Bokeh figure."""
    import holoviews as hv

    with DRAWING:
        style.load()
        return hv.renderer("bokeh").get_plot(element).state


def drawn(element: Any) -> Figure:
    """A HoloViews element, drawn and kept."""
    from bokeh.embed import json_item

    return Figure(json_item(render(element))["doc"])


def figure_of(picture: Any) -> Any:
    """A picture, drawn already or not, as a Bokeh figure of its own: no two share a model or an id.

    A Bokeh figure stays as it is.
    """
    from bokeh.model import Model

    if isinstance(picture, Model):
        return picture
    if not isinstance(picture, Figure):
        return render(picture)
    from bokeh.document import Document

    document = Document.from_json(_renewed(picture.document))
    figure = document.roots[0]
    document.remove_root(figure)
    return figure


def _renewed(document: Mapping[str, Any]) -> Any:
    """The same document with new ids: those of another process may be taken here."""
    from bokeh.util.serialization import make_id

    names: dict[str, str] = {}

    def walk(value: Any) -> Any:
        if isinstance(value, list | tuple):  # pairs, until they were JSON
            return [walk(v) for v in value]
        if not isinstance(value, dict):
            return value
        # Data is kept in "entries" and "data"; a mapping with an id is a model or a reference to
        # one.
        return {
            k: names.setdefault(v, make_id()) if k == "id" else walk(v) for k, v in value.items()
        }

    return walk(document)
