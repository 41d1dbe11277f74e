"""Telling a page or a notebook that a picture was changed in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


def patched(pane: Any) -> None:
    """Say that the Bokeh figure of a pane was changed in place: a notebook has to be told, a
    served page knows.
    """
    from panel.io.notebook import push_notebook

    push_notebook(pane)
