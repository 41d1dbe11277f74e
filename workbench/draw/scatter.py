"""Points: means with their intervals, and clouds of thousands.

Each draws with bokeh on a page and with matplotlib still.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.draw import colour, style
from workbench.draw.charts import finish

if TYPE_CHECKING:
    import holoviews as hv
    import pandas as pd

_CELLS = (200, 90)  # of a cloud, across and up


_HUES = [
    colour.BLUE_STROKE,
    colour.FUNCTION,
    colour.MEMORY,
    colour.CONTEXT,
    colour.OTHER,
    colour.QUESTION,
]


def intervals(
    frame: pd.DataFrame,
    names: str,
    by: str,
    hues: Mapping[str, str] | None = None,
    *,
    title: str,
    unit: str,
    zero: bool = True,
    longest: int = 48,
) -> hv.Overlay:
    """Means with their 95 % intervals around a line at zero: a row for each of `names`, a colour
    for each of `by`.

    Args:
        frame: columns `names`, `by`, mean, low, high; optionally n.
        hues: value of `by` to colour, in the order of the legend; by default as they come.
        zero: draw that line; without it the picture need not reach to zero.
        longest: characters of a row's name.
    """
    style.load()
    import holoviews as hv

    if hues is None:
        hues = {value: _HUES[k % len(_HUES)] for k, value in enumerate(frame[by].unique())}
    groups = list(dict.fromkeys(frame[names]))
    apart = 0.7 / max(1, len(hues))
    parts: list[Any] = []
    for k, (value, hue) in enumerate(hues.items()):
        mine = frame[frame[by] == value]
        rows = [
            (
                row["mean"],
                groups.index(row[names]) + (k - (len(hues) - 1) / 2) * apart,
                *_hover_texts(row, names, value, unit),
                row,
            )
            for row in mine.to_dict("records")
        ]
        spans = [
            (r["low"], y, r["high"], y)
            for _, y, *_, r in rows
            if math.isfinite(r["low"]) and math.isfinite(r["high"])
        ]
        parts.append(
            hv.Segments(spans)
            .opts(backend="bokeh", color=hue, line_width=2.5, alpha=0.6)
            .opts(backend="matplotlib", color=hue, linewidth=1.6, alpha=0.6)
        )
        parts.append(
            hv.Points(
                [row[:-1] for row in rows],
                ["x", "y"],
                ["name", "of", "said", "interval"],
                label=style.plain(value),
            )
            .opts(
                backend="bokeh",
                color=hue,
                size=9,
                tools=["hover"],
                hover_tooltips=["@name", "@of", "@said", ("95 % interval", "@interval")],
            )
            .opts(backend="matplotlib", color=hue, s=26)
        )
    if zero:
        parts.append(
            hv.VLine(0)
            .opts(backend="bokeh", color=colour.INK, line_width=1)
            .opts(backend="matplotlib", color=colour.INK, linewidth=0.8)
        )
    ends = [v for c in ("mean", "low", "high") for v in frame[c] if math.isfinite(v)] or [0.0, 1.0]
    ends += [0.0] if zero else []
    low, high = min(ends), max(ends)
    air = (high - low) * 0.06 or 1.0
    shared: dict[str, Any] = {
        "xlim": (low - air, high + air),
        "ylim": (-0.6, len(groups) - 0.4),
        "invert_yaxis": True,
        "yticks": [(i, style.plain(g, longest)) for i, g in enumerate(groups)],
        "xlabel": unit,
        "ylabel": "",
        "title": title,
        "legend_position": "top",
        **({} if zero else {"xticks": 5}),
    }
    height = 100 + (26 + 14 * len(hues)) * len(groups)
    return finish(
        hv.Overlay(parts), height=height, bokeh={}, matplotlib={"legend_cols": len(hues)}, **shared
    )


def _hover_texts(
    row: Mapping[str, Any], names: str, of: str, unit: str
) -> tuple[str, str, str, str]:
    n = f", n {int(row['n'])}" if "n" in row else ""
    return (
        style.plain(row[names]),
        style.plain(of),
        f"{row['mean']:+.3f} {unit}{n}",
        f"{row['low']:+.3f} to {row['high']:+.3f}",
    )


def density_scatter(
    frame: pd.DataFrame,
    x: str,
    y: str,
    name: str,
    marked: str,
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    many: str,
    few: str,
) -> hv.Overlay:
    """Thousands of rows as a density, with some of them as points of their own; both axes
    logarithmic.

    Args:
        frame: columns x and y, numbers above zero; rows with others are left out.
        marked: column that says which rows are points; they hover with `name`.
        many, few: what the density and the points are.
    """
    style.load()
    import holoviews as hv
    import numpy as np

    positive = frame[(frame[x] > 0) & (frame[y] > 0)]
    points = positive.assign(u=np.log10(positive[x]), v=np.log10(positive[y]))
    spans = [_around(points[axis]) for axis in ("u", "v")]
    parts: list[Any] = []
    rest = points[~points[marked]]
    if len(rest):
        counts, *_ = np.histogram2d(rest["v"], rest["u"], bins=_CELLS[::-1], range=spans[::-1])
        counts[counts == 0] = np.nan
        bounds = (spans[0][0], spans[1][0], spans[0][1], spans[1][1])
        top = float(np.nanmax(counts))
        parts.append(
            hv.Image(
                np.flipud(counts), bounds=bounds, kdims=["u", "v"], vdims=["tokens"], label=many
            )
            .opts(
                backend="bokeh",
                cmap=list(colour.single_scale())[32:],
                clim=(0.9, max(1.1, top)),
                logz=True,
                tools=["hover"],
                hover_tooltips=[(many, "@image{0}")],
                clipping_colors={"NaN": "transparent"},
            )
            .opts(
                backend="matplotlib",
                cmap=list(colour.single_scale())[32:],
                clim=(0.9, max(1.1, top)),
                clipping_colors={"NaN": "#ffffff00"},
            )
        )
    chosen = points[points[marked]]
    rows = [
        (u, v, style.plain(f"“{t}”"), f"{a:,.0f}", f"{b:,.0f}")
        for u, v, t, a, b in zip(
            chosen["u"], chosen["v"], chosen[name], chosen[x], chosen[y], strict=True
        )
    ]
    parts.append(
        hv.Points(rows, ["u", "v"], ["name", "a", "b"], label=few)
        .opts(
            backend="bokeh",
            color=colour.FUNCTION,
            size=7,
            alpha=0.85,
            line_color=None,
            tools=["hover"],
            hover_tooltips=["@name", (xlabel, "@a"), (ylabel, "@b")],
        )
        .opts(backend="matplotlib", color=colour.FUNCTION, s=16, alpha=0.85, edgecolor="none")
    )
    shared: dict[str, Any] = {
        "xlim": spans[0],
        "ylim": spans[1],
        "xticks": _powers(*spans[0]),
        "yticks": _powers(*spans[1]),
        "xlabel": xlabel,
        "ylabel": ylabel,
        "title": title,
        "legend_position": "top",
    }
    return finish(hv.Overlay(parts), height=360, bokeh={}, matplotlib={"legend_cols": 2}, **shared)


def _around(values: pd.Series) -> tuple[float, float]:
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    return low - 0.1, max(high, low + 0.1) + 0.1


def _powers(low: float, high: float) -> list[tuple[float, str]]:
    """Ticks at powers of ten, as numbers people read; with what lies between where there are
    few.
    """
    between = (1, 2, 5) if high - low < 1.5 else (1,)
    ticks = [
        (math.log10(k * 10**p), f"{k * 10**p:,}")
        for p in range(max(0, math.floor(low)), math.floor(high) + 1)
        for k in between
    ]
    return [tick for tick in ticks if low <= tick[0] <= high]


def histogram(
    counts: Sequence[float], edges: Sequence[float], *, title: str, xlabel: str, of: str
) -> hv.Rectangles:
    """Counts between edges, on a logarithmic axis; edges above zero."""
    style.load()
    import holoviews as hv

    rows, ticks = _bins(counts, edges, of), _twos(edges)
    shared: dict[str, Any] = {
        "xlim": (rows[0][0], rows[-1][2]),
        "ylim": (0, _highest(counts)),
        "xticks": ticks,
        "xlabel": xlabel,
        "ylabel": of,
        "title": title,
    }
    element = hv.Rectangles(rows, ["x0", "y0", "x1", "y1"], ["between", "said"])
    bars: dict[str, Any] = {"alpha": 0.8, **shared}
    hover: dict[str, Any] = {
        "tools": ["hover"],
        "hover_tooltips": [(xlabel, "@between"), ("", "@said")],
    }
    return element.opts(
        **style.bokeh(
            width=None, height=190, fill_color=colour.FUNCTION, line_color=None, **hover, **bars
        )
    ).opts(
        **style.matplotlib(
            width=520, height=190, facecolor=colour.FUNCTION, edgecolor="none", **bars
        )
    )


def fill_histogram(
    pane: Any, counts: Sequence[float], edges: Sequence[float], *, title: str, of: str
) -> None:
    """Put other counts between other edges into a histogram that is drawn already.

    Args:
        pane: a Panel pane whose object is the Bokeh figure of `histogram`.
    """
    from bokeh.models import Quad

    from workbench.draw.notify import notify_changed

    figure, ticks = pane.object, _twos(edges)
    drawn = next(r for r in figure.renderers if isinstance(r.glyph, Quad))
    left, bottom, right, top, between, said = (
        [row[i] for row in _bins(counts, edges, of)] for i in range(6)
    )
    corners = {"left": left, "bottom": bottom, "right": right, "top": top}
    also = {"x0": left, "y0": bottom, "x1": right, "y1": top}
    drawn.data_source.data = {**corners, **also, "between": between, "said": said}
    figure.x_range.update(start=left[0], end=right[-1])
    figure.y_range.update(start=0, end=_highest(counts))
    axis = figure.below[0]
    axis.update(ticker=[at for at, _ in ticks], major_label_overrides=dict(ticks))
    figure.title.text = title
    notify_changed(pane)


def _bins(counts: Sequence[float], edges: Sequence[float], of: str) -> list[tuple[Any, ...]]:
    logs = [math.log10(edge) for edge in edges]
    return [
        (
            logs[k],
            0.0,
            logs[k + 1],
            float(n),
            f"{edges[k]:.3g} to {edges[k + 1]:.3g}",
            f"{n:,.0f} {of}",
        )
        for k, n in enumerate(counts)
    ]


def _twos(edges: Sequence[float]) -> list[tuple[float, str]]:
    """Ticks at powers of two."""
    ticks = [
        (math.log10(2.0**p), f"{2.0**p:g}")
        for p in range(math.floor(math.log2(edges[0])), math.ceil(math.log2(edges[-1])) + 1)
    ]
    return ticks[:: max(1, len(ticks) // 8)]


def _highest(counts: Sequence[float]) -> float:
    """How far the axis of counts goes."""
    return max([1.0, *map(float, counts)]) * 1.05
