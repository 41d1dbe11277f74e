"""Other values in pictures that are drawn already: a choice then sends numbers, where a redraw
takes a fifth of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from workbench.draw import colour
from workbench.draw.bar_charts import fill_bars
from workbench.draw.head_grids import cells_of
from workbench.draw.patterns import fill_pattern
from workbench.draw.scatter import fill_histogram

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def fill_lines(
    pane: Any,
    frame: pd.DataFrame,
    x: str,
    series: Mapping[str, str | tuple[str, str]],
    *,
    title: str,
    ylim: tuple[float, float] | None = None,
) -> None:
    """Other curves over the same x and of the same names.

    Args:
        pane: a Panel pane whose object is the Bokeh figure of `charts.lines`, made from the same
            `series`.
        ylim: the ends of the axis; they stay without it.
    """
    from bokeh.models import Line, Scatter

    from workbench.draw.notify import notify_changed

    frame = frame.sort_values(x)
    xs = [float(v) for v in frame[x]]
    columns = [[float(v) for v in frame[column]] for column in series]
    curves = [r for r in pane.object.renderers if isinstance(r.glyph, Line)]
    for curve, ys in zip(curves, columns, strict=True):
        curve.data_source.data = {"x": xs, "y": ys}
    dots = next(r for r in pane.object.renderers if isinstance(r.glyph, Scatter))
    dots.data_source.data = {
        **dots.data_source.data,
        "x": xs * len(columns),
        "y": [y for ys in columns for y in ys],
    }
    if ylim is not None:
        pane.object.y_range.update(start=ylim[0], end=ylim[1])
    pane.object.title.text = title
    notify_changed(pane)


def fill_grid(
    pane: Any,
    values: xr.DataArray,
    *,
    title: str,
    low_word: str = "lowers",
    high_word: str = "raises",
) -> None:
    """Other values of the same heads, and the scale that fits them.

    Args:
        pane: a Panel pane whose object is the Bokeh figure of a `head_grid` without further hover
            fields.
        values: (layer, head), signed.
    """
    from bokeh.models import Quad
    from bokeh.models.annotations import ColorBar

    from workbench.draw.notify import notify_changed
    from workbench.selection import head_name

    figure, source = pane.object, cells_of(pane.object)
    named = {
        head_name(int(layer), int(head)): float(values.values[i, j])
        for i, layer in enumerate(values["layer"].values)
        for j, head in enumerate(values["head"].values)
    }
    shown = [named[name] for name in source.data["name"]]
    order = sorted(range(len(shown)), key=lambda i: -abs(shown[i]))
    ranks = {i: f"{rank} of {len(shown)}" for rank, i in enumerate(order, 1)}
    source.data = {
        **source.data,
        "value": shown,
        "color": shown,
        "rank": [ranks[i] for i in range(len(shown))],
    }
    limit = colour.symmetric_limit(shown)
    drawn = next(
        r for r in figure.renderers if isinstance(r.glyph, Quad) and r.data_source is source
    )
    drawn.glyph.fill_color.transform.update(low=-limit, high=limit)
    for bar in (part for part in figure.below if isinstance(part, ColorBar)):
        ticker: Any = bar.ticker
        ticker.ticks = [-limit, 0.0, limit]
        bar.major_label_overrides = {
            -limit: f"−{limit:.2g} {low_word}",
            0.0: "0",
            limit: f"+{limit:.2g} {high_word}",
        }
    figure.title.text = title
    notify_changed(pane)


# By picture of the drawing vocabulary: who gives it other values once it is drawn, and which.
SENT: dict[str, tuple[Callable[..., None], tuple[str, ...]]] = {
    "bars": (fill_bars, ("values", "names", "title", "unit")),
    "lines": (fill_lines, ("frame", "x", "series", "title", "ylim")),
    "head_grid": (fill_grid, ("values", "title", "low_word", "high_word")),
    "pattern": (fill_pattern, ("values", "title")),
    "histogram": (fill_histogram, ("counts", "edges", "title", "of")),
}


def fill(kind: str, pane: Any, options: Mapping[str, Any]) -> None:
    """Put other values into a picture of this kind.

    Args:
        pane: a Panel pane whose object is its Bokeh figure.
        options: what another one would be drawn with.
    """
    send, wanted = SENT[kind]
    send(pane, **{key: options[key] for key in wanted if key in options})
