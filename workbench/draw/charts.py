"""Bars with intervals, dots, curves and matrices, in the workbench's look.

Each returns a HoloViews element that draws with bokeh on a page and with matplotlib as a still
picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench.draw import colour, style
from workbench.wording import percent

if TYPE_CHECKING:
    import holoviews as hv
    import pandas as pd


def dots(
    frame: pd.DataFrame,
    value: str,
    by: str,
    *,
    title: str,
    xlabel: str,
    hue: str = colour.OTHER,
    label: str = "random sets",
    lines: Mapping[str, Mapping[str, float]] | None = None,
) -> hv.Overlay:
    """One dot per row of `frame`, one line of dots per value of `by`, spread a little so that equal
    dots stay visible.

    Args:
        value: column shown on x, between 0 and 1, drawn in percent.
        label: what a dot is.
        lines: for a value of `by`, named reference values drawn as strokes over its dots.
    """
    style.load()
    import holoviews as hv

    groups = list(dict.fromkeys(frame[by]))
    rows, strokes = [], []
    for i, group in enumerate(groups):
        part = frame[frame[by] == group].sort_values(value).reset_index(drop=True)
        # The same pattern every time: a picture must not change between two openings of one run.
        rows += [
            (100 * v, i + (k % 5 - 2) * 0.08, style.plain(group), percent(v), h)
            for k, (v, h) in enumerate(_named(part, value))
        ]
        strokes += [
            (100 * v, i - 0.34, 100 * v, i + 0.34, style.plain(name), k)
            for k, (name, v) in enumerate((lines or {}).get(group, {}).items())
        ]
    parts: list[Any] = [
        hv.Points(rows, ["x", "y"], ["group", "rate", "what"], label=label)
        .opts(
            backend="bokeh",
            color=hue,
            size=8,
            alpha=0.65,
            line_color=None,
            tools=["hover"],
            hover_tooltips=["@group", "@rate", "@what"],
        )
        .opts(backend="matplotlib", color=hue, s=18, alpha=0.65, edgecolor="none")
    ]
    palette = [colour.INK, colour.BLUE_STROKE, colour.FUNCTION]
    for k, name in enumerate(dict.fromkeys(s[4] for s in strokes)):
        segments = [s[:4] for s in strokes if s[4] == name]
        parts.append(
            hv.Segments(segments, label=name)
            .opts(backend="bokeh", color=palette[k % 3], line_width=3)
            .opts(backend="matplotlib", color=palette[k % 3], linewidth=2)
        )
    shared: dict[str, Any] = {
        "xlim": (-2, 102),
        "ylim": (-0.6, len(groups) - 0.4),
        "invert_yaxis": True,
        "yticks": [(i, style.plain(g, 40)) for i, g in enumerate(groups)],
        "xlabel": xlabel,
        "ylabel": "",
        "title": title,
        "legend_position": "top",
    }
    return finish(
        hv.Overlay(parts),
        height=110 + 56 * len(groups),
        bokeh={},
        matplotlib={"legend_cols": 3},
        **shared,
    )


def _named(part: pd.DataFrame, value: str) -> list[tuple[float, str]]:
    what = part["heads"] if "heads" in part else [""] * len(part)
    return [(float(v), style.plain(h)) for v, h in zip(part[value], what, strict=True)]


def lines(
    frame: pd.DataFrame,
    x: str,
    series: Mapping[str, str | tuple[str, str]],
    *,
    title: str,
    ylabel: str,
    xlabel: str = "",
    dash: Mapping[str, str] | None = None,
    bands: Mapping[str, tuple[str, str]] | None = None,
    height: int = 300,
    **more: Any,
) -> hv.Overlay:
    """Curves with a point at every measured value, and straight lines between these.

    Args:
        frame: x, and a column for each curve, NaN where that was not measured.
        series: column to its colour, or to (name in the legend, colour); that is the column's own
            by default.
        xlabel: the name of the column `x` by default.
        dash: column to "dashed" or "dotted"; "solid" otherwise.
        bands: column to the columns of its lower and upper bound, shaded around the curve.
    """
    style.load()
    import holoviews as hv

    parts: list[Any] = []
    points: list[tuple[float, float, str, str]] = []
    xlabel = xlabel or x.replace("_", " ")
    frame = frame.dropna(subset=list(series), how="all").sort_values(x)
    for column, drawn in series.items():
        said, hue = (column, drawn) if isinstance(drawn, str) else drawn
        name, kind = style.plain(said), (dash or {}).get(column, "solid")
        # A curve goes on over places where only other curves were measured.
        known = frame.dropna(subset=[column])
        data = list(zip(known[x].astype(float), known[column].astype(float), strict=True))
        points += [(*at, name, hue) for at in data]
        if bands and column in bands:
            parts.append(_band(frame, x, bands[column], hue))
        parts.append(
            hv.Curve(data, "x", "y", label=name)
            .opts(backend="bokeh", color=hue, line_width=2.2, line_dash=kind)
            .opts(backend="matplotlib", color=hue, linewidth=1.8, linestyle=kind)
        )
    # All points in one element: every further element costs a page tens of milliseconds.
    parts.append(
        hv.Points(points, ["x", "y"], ["series", "hue"])
        .opts(
            backend="bokeh",
            color="hue",
            size=6,
            tools=["hover"],
            show_legend=False,
            hover_tooltips=[("", "@series"), (xlabel, "@x{0.###}"), (ylabel, "@y{0.000}")],
        )
        .opts(backend="matplotlib", color="hue", s=12, show_legend=False)
    )
    shared = {"title": title, "xlabel": xlabel, "ylabel": ylabel, "legend_position": "top", **more}
    cols = min(len(series), 4)
    return finish(
        hv.Overlay(parts), height=height, bokeh={}, matplotlib={"legend_cols": cols}, **shared
    )


def _band(frame: pd.DataFrame, x: str, bounds: tuple[str, str], hue: str) -> hv.Area:
    """What lies between two bounds, where both are numbers."""
    import holoviews as hv

    known = frame.dropna(subset=list(bounds))
    data = [tuple(map(float, row)) for row in known[[x, *bounds]].to_numpy()]
    return (
        hv.Area(data, "x", ["low", "high"])
        .opts(backend="bokeh", fill_color=hue, fill_alpha=0.15, line_color=None)
        .opts(backend="matplotlib", facecolor=hue, alpha=0.15, edgecolor="none")
    )


def matrix(
    frame: pd.DataFrame,
    row: str,
    column: str,
    value: str,
    *,
    title: str,
    unit: str,
    signed: bool = False,
    top: float | None = None,
    longest: int = 18,
    decimals: int = 0,
) -> hv.Overlay:
    """A table as coloured cells, each with its number; a dash where that is NaN, for what cannot be
    told.

    `value` is drawn as it is; give percent if percent is meant.

    Args:
        top: where the colours end; the largest number by default.
        longest: characters of a row's name.
        decimals: of the numbers in the cells.
    """
    style.load()
    import holoviews as hv

    ys, xs = list(dict.fromkeys(frame[row])), list(dict.fromkeys(frame[column]))
    limit = top if top is not None else colour.symmetric_limit(frame[value])
    cells, texts = [], []
    for record in frame.to_dict("records"):
        x, y, v = xs.index(record[column]), ys.index(record[row]), float(record[value])
        if v != v:
            texts.append((x, y, "–", colour.INK))
            continue
        cells.append(
            (
                x - 0.48,
                y - 0.47,
                x + 0.48,
                y + 0.47,
                v,
                style.plain(record[row]),
                style.plain(record[column]),
            )
        )
        shade = (
            colour.signed(v, limit)
            if signed
            else colour.single_scale()[min(127, max(0, round(127 * v / limit)))]
        )
        number = f"{v:{'+' if signed else ''}.{decimals}f}".replace("-", "−")
        texts.append((x, y, number, colour.text_on(shade)))
    scale = colour.signed_scale() if signed else colour.single_scale()
    shared: dict[str, Any] = {
        "xlim": (-0.5, len(xs) - 0.5),
        "ylim": (-0.5, len(ys) - 0.5),
        "invert_yaxis": True,
        "xticks": [(i, style.plain(x, 18)) for i, x in enumerate(xs)],
        "yticks": [(i, style.plain(y, longest)) for i, y in enumerate(ys)],
        "xlabel": column.replace("_", " "),
        "ylabel": row.replace("_", " "),
        "title": f"{title} ({unit})",
        "xrotation": 30 if len(xs) > 3 else 0,
    }
    clim = (-limit, limit) if signed else (0.0, limit)
    boxes = (
        hv.Rectangles(cells, ["x0", "y0", "x1", "y1"], ["v", "r", "c"])
        .opts(
            backend="bokeh",
            color="v",
            cmap=list(scale),
            clim=clim,
            line_color=None,
            tools=["hover"],
            hover_tooltips=[
                (shared["ylabel"], "@r"),
                (shared["xlabel"], "@c"),
                (title, f"@v{{0.{'0' * max(1, decimals)}}} {unit}"),
            ],
        )
        .opts(backend="matplotlib", color="v", cmap=list(scale), clim=clim, linewidth=0)
    )
    numbers = [
        hv.Labels([t[:3] for t in texts if t[3] == ink], ["x", "y"], "text")
        .opts(backend="bokeh", text_color=ink, text_font_size="12px")
        .opts(backend="matplotlib", color=ink, size=8)
        for ink in dict.fromkeys(t[3] for t in texts)
    ]
    quiet = {"show_legend": False}
    size: dict[str, Any] = {
        "width": max(360, 150 + 62 * len(xs) + 6 * max(0, longest - 18)),
        "height": 120 + 38 * len(ys),
        "grid": False,
    }
    return finish(hv.Overlay([boxes, *numbers]), bokeh=quiet, matplotlib=quiet, **size, **shared)


def finish(
    overlay: Any,
    *,
    height: int,
    bokeh: Mapping[str, Any],
    matplotlib: Mapping[str, Any],
    width: int | None = None,
    grid: bool = True,
    **shared: Any,
) -> Any:
    import holoviews as hv

    return overlay.opts(
        hv.opts.Overlay(**style.bokeh(width=width, height=height, grid=grid, **bokeh, **shared))
    ).opts(
        hv.opts.Overlay(
            **style.matplotlib(width=width or 640, height=height, grid=grid, **matplotlib, **shared)
        )
    )
