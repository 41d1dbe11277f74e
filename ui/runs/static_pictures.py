"""Pictures of a run that need neither a browser nor a kernel (matplotlib): for notebooks, and for
the files of a report.
"""

from __future__ import annotations

from collections.abc import Iterator

from ui.runs.thumbnails import picture
from workbench import registry
from workbench.draw import style
from workbench.draw.figure import DRAWING
from workbench.draw.view import View, is_drawing, pictures
from workbench.result import Result


def titled_pictures(
    result: Result, form: str, dpi: int = 80, broken: list[str] | None = None
) -> Iterator[tuple[str, bytes]]:
    """Every picture of every view, with the view's title.

    Args:
        form: png or svg.
        dpi: of png.
        broken: gets a sentence for each view that cannot be drawn; the others stand.
    """
    broken = [] if broken is None else broken
    try:
        with DRAWING:
            style.load(stills=True)
            views = registry.get(result.analysis).views(result)
    except Exception as error:  # not installed here, or a third party's
        broken.append(f"The pictures of {result.analysis!r} cannot be drawn here: {error}")
        return
    for title, view in views.items():
        if isinstance(view, View) and view.why_not:
            continue
        try:
            with DRAWING:
                drawings = [one for one in pictures(view) if is_drawing(one)]
            for one in drawings:
                yield str(title), picture(one, form=form, dpi=dpi)
        except Exception as error:  # one broken view must not cost the others
            broken.append(f"The view {title!r} cannot be drawn: {type(error).__name__}: {error}")
