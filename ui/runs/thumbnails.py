"""Still pictures (PNG, matplotlib) of what the views draw: thumbnails for Home, and what a
notebook shows without a kernel.
"""

from __future__ import annotations

import io
import os
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from ui.runs.answer import picture_of
from ui.runs.render_cache import fingerprint
from workbench import paths, registry
from workbench.draw import style
from workbench.draw.figure import DRAWING
from workbench.draw.view import View, is_drawing, pictures
from workbench.errors import WorkbenchError
from workbench.result import Result
from workbench.runs import RunEntry

WIDTH, HEIGHT, DPI = 480, 300, 96
TITLE = 46
"""Characters in a line of a picture's title."""
_VERSION = "5"
"""Goes into the name: raise it when pictures change their look."""


def picture(element: Any, *, form: str = "png", dpi: int = DPI) -> bytes:
    """A HoloViews element as PNG or SVG on a transparent ground; `style.load(stills=True)` comes
    before it is made.
    """
    import holoviews as hv
    import matplotlib.pyplot as plt

    with DRAWING:
        figure = hv.renderer("matplotlib").get_plot(element).state
        try:
            return _saved(figure, form, dpi, bbox_inches="tight")
        finally:
            plt.close(figure)


def thumbnail(run: RunEntry | Path | str) -> bytes | None:
    """A small picture of a run (480 × 300), kept in the cache.

    None if the run has nothing to draw or cannot be read.
    """
    folder = run.path if isinstance(run, RunEntry) else Path(run)
    kept = _cached_file(folder)
    if kept is None:
        return None
    if kept.is_file():
        return kept.read_bytes()
    try:
        with DRAWING:
            style.load(stills=True)
            element = _first_drawing(Result.open(folder))
            drawn = _small(element) if element is not None else None
    except Exception:
        # a stranger's run or a third party's view may fail in any way, and a card without picture
        # is still a card
        return None
    if drawn is not None:
        _keep(kept, drawn)
    return drawn


def _first_drawing(result: Result) -> Any:
    """The picture that carries the answer, else the first of the first view that has one."""
    analysis = registry.get(result.analysis)
    views = {
        title: view
        for title, view in analysis.views(result).items()
        if not (isinstance(view, View) and view.why_not)
    }
    title, number = (analysis.answer and picture_of(analysis.answer, views)) or ("", 0)
    if title in views:
        drawings = [picture for picture in pictures(views[title]) if is_drawing(picture)]
        if number < len(drawings):
            return drawings[number]
    every = (picture for view in views.values() for picture in pictures(view))
    return next((picture for picture in every if is_drawing(picture)), None)


def _small(element: Any) -> bytes:
    import holoviews as hv
    import matplotlib.pyplot as plt

    with DRAWING:
        figure = hv.renderer("matplotlib").get_plot(element).state
        try:
            figure.set_size_inches(WIDTH / DPI, HEIGHT / DPI)
            for axes in figure.axes:
                _fit(axes)
            figure.tight_layout()
            return _saved(figure, "png", DPI)
        finally:
            plt.close(figure)


def _fit(axes: Any) -> None:
    """What is wider than the picture would push the drawing itself together: a title in one line,
    a legend with many entries.
    """
    axes.title.set_text(textwrap.fill(axes.get_title(), TITLE))
    legend = axes.get_legend()
    if legend is not None and legend.get_window_extent().width > 0.8 * WIDTH:
        legend.remove()
    if not axes.images:  # cells stay square; anything else may fill the picture
        axes.set_aspect("auto")


def _saved(figure: Any, form: str, dpi: int, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=dpi, transparent=True, **options)
    return buffer.getvalue()


def _cached_file(folder: Path) -> Path | None:
    """Where the picture of this very content lies.

    None if the folder has no content to speak of.
    """
    key = fingerprint(folder)
    return paths.cache_dir() / "pictures" / f"{_VERSION}-{key}.png" if key else None


def _keep(kept: Path, drawn: bytes) -> None:
    """Whole or not at all. A cache that cannot be written only costs time."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        handle, work = tempfile.mkstemp(dir=kept.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(drawn)
        os.replace(work, kept)
    except OSError as error:
        raise WorkbenchError(
            f"The picture could not be kept in {kept.parent}: {error}.",
            "a cache folder that can be written",
        ) from error
