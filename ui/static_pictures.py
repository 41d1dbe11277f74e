"""Pictures of a run that need neither a browser nor a kernel (matplotlib): for notebooks, and for
the files of a report.
"""

from __future__ import annotations

from collections.abc import Iterator

from ui.thumbnails import picture
from workbench import registry
from workbench.draw.figure import DRAWING
from workbench.draw.view import View, is_drawing, pictures
from workbench.errors import WorkbenchError
from workbench.result import Result


def titled_pictures(result: Result, form: str, dpi: int = 80) -> Iterator[tuple[str, bytes]]:
    """Every picture of every view, with the view's title.

    Args:
        form: png or svg.
        dpi: of png.
    """
    try:
        views = registry.get(result.analysis).views(result)
    except WorkbenchError:
        return  # the analysis is not installed here: its findings and tables stand without pictures
    for title, view in views.items():
        if isinstance(view, View) and view.why_not:
            continue
        with DRAWING:
            drawings = [one for one in pictures(view) if is_drawing(one)]
        for one in drawings:
            yield str(title), picture(one, form=form, dpi=dpi)
