"""Bars with intervals, dots, curves and matrices, in the workbench's look.

Each returns a HoloViews element that draws with bokeh on a page and with matplotlib as a still
picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.draw import colour, style

if TYPE_CHECKING:
    import holoviews as hv
    import pandas as pd

RATES = {"memory": colour.MEMORY, "context": colour.CONTEXT, "other": colour.OTHER}


def rate_bars(
    frame: pd.DataFrame,
    *,
    names: str = "condition",
    title: str,
    words: Mapping[str, str] = RATES,
    of: str = "prompts",
) -> hv.Overlay:
    """Rates side by side with their 95 % intervals; one group of bars per row of `frame`, read from
    the top.

    Args:
        frame: columns `names`, each of `words`, and optionally WORD_low and WORD_high, all between
            0 and 1.
        words: category to colour.
        of: what is counted.
    """
    style.load()
    import holoviews as hv

    groups = [style.plain(n, 40) for n in frame[names]]
    thick = 0.82 / len(words)
    parts: list[Any] = []
    whiskers: list[tuple[float, float, float, float]] = []
    for j, (word, hue) in enumerate(words.items()):
        rows = []
        for i, row in enumerate(frame.to_dict("records")):
            y = i - 0.41 + j * thick
            low, high = row.get(f"{word}_low"), row.get(f"{word}_high")
            known = low is not None and high is not None and low == low and high == high
            said = f"{100 * low:.0f}–{100 * high:.0f} %" if known else "not measured"
            rows.append(
                (
                    0.0,
                    y,
                    100 * row[word],
                    y + thick * 0.88,
                    groups[i],
                    word,
                    f"{100 * row[word]:.1f} %",
                    said,
                    int(row.get("n", 0)),
                )
            )
            if known:
                whiskers.append((100 * low, y + thick * 0.44, 100 * high, y + thick * 0.44))
        parts.append(
            hv.Rectangles(
                rows,
                ["x0", "y0", "x1", "y1"],
                ["condition", "follows", "rate", "interval", "n"],
                label=word,
            )
            .opts(
                backend="bokeh",
                fill_color=hue,
                line_color=None,
                tools=["hover"],
                hover_tooltips=[
                    ("condition", "@condition"),
                    ("follows", "@follows"),
                    ("rate", "@rate"),
                    ("95 % interval", "@interval"),
                    ("prompts", "@n"),
                ],
            )
            .opts(backend="matplotlib", facecolor=hue, edgecolor="none")
        )
    if whiskers:
        parts.append(
            hv.Segments(whiskers)
            .opts(backend="bokeh", color=colour.INK, line_width=2)
            .opts(backend="matplotlib", color=colour.INK, linewidth=1.2)
        )
    height = 96 + 58 * len(groups)
    shared: dict[str, Any] = {
        "xlim": (0, 100),
        "ylim": (-0.6, len(groups) - 0.4),
        "invert_yaxis": True,
        "yticks": [(i, name) for i, name in enumerate(groups)],
        "xlabel": f"share of {of}, with 95 % interval (%)",
        "ylabel": "",
        "title": title,
        "legend_position": "top",
    }
    return finish(
        hv.Overlay(parts), height=height, bokeh={}, matplotlib={"legend_cols": len(words)}, **shared
    )


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
            (100 * v, i + (k % 5 - 2) * 0.08, style.plain(group), f"{100 * v:.1f} %", h)
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
        mine = [s[:4] for s in strokes if s[4] == name]
        parts.append(
            hv.Segments(mine, label=name)
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
    series: Mapping[str, tuple[str, str]],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    dash: Mapping[str, str] | None = None,
    height: int = 300,
    **more: Any,
) -> hv.Overlay:
    """Curves with a point at every measured value.

    Args:
        frame: rows without a value on any curve are left out.
        series: column to (name in the legend, colour).
        dash: column to "dashed" or "dotted"; "solid" otherwise.
    """
    style.load()
    import holoviews as hv

    parts: list[Any] = []
    points: list[tuple[float, float, str, str]] = []
    frame = frame.dropna(subset=list(series), how="all").sort_values(x)
    for column, (said, hue) in series.items():
        name, kind = style.plain(said), (dash or {}).get(column, "solid")
        data = list(zip(frame[x].astype(float), frame[column].astype(float), strict=True))
        points += [(*at, name, hue) for at in data]
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


def bars(
    values: Sequence[float],
    names: Sequence[str],
    *,
    title: str,
    unit: str,
    top: float | None = None,
    height: int = 230,
    xlabel: str = "",
) -> hv.Rectangles:
    """Signed values as bars in the order given, on the signed scale; names are said on hover."""
    style.load()
    import holoviews as hv

    limit = top if top is not None else colour.limit(values)
    rows = _bar_rows(values, names, unit)
    span = colour.limit(values) * _AIR
    shared: dict[str, Any] = {
        "xlim": (-0.7, max(len(rows), 1) - 0.3),
        "ylim": (-span, span),
        "title": title,
        "xlabel": xlabel,
        "ylabel": unit,
        "clim": (-limit, limit),
        "cmap": list(colour.signed_scale()),
        "color": "v",
    }
    element = hv.Rectangles(rows, ["x0", "y0", "x1", "y1"], ["name", "value", "v"])
    return element.opts(
        **style.bokeh(
            width=None,
            height=height,
            line_color=colour.GRID,
            line_width=0.8,
            tools=["hover"],
            hover_tooltips=["@name", "@value"],
            xaxis="bare",
            **shared,
        )
    ).opts(
        **style.matplotlib(
            width=520, height=height, edgecolor=colour.GRID, linewidth=0.4, xaxis="bare", **shared
        )
    )


def fill_bars(
    pane: Any, values: Sequence[float], names: Sequence[str], *, title: str, unit: str
) -> None:
    """Put other values, in the order given, into bars that are drawn already.

    Args:
        pane: a Panel pane whose object is the Bokeh figure of `bars`.
    """
    from bokeh.models import Quad

    from workbench.draw.view import patched

    figure = pane.object
    drawn = next(r for r in figure.renderers if isinstance(r.glyph, Quad))
    left, bottom, right, top, said, shown, v = (
        [row[i] for row in _bar_rows(values, names, unit)] for i in range(7)
    )
    corners = {
        "left": left,
        "bottom": bottom,
        "right": right,
        "top": top,
        "x0": left,
        "y0": bottom,
        "x1": right,
        "y1": top,
    }
    limit = colour.limit(values)
    drawn.glyph.fill_color.transform.update(low=-limit, high=limit)
    drawn.data_source.data = {**corners, "name": said, "value": shown, "v": v, "color": v}
    figure.x_range.update(start=-0.7, end=max(len(v), 1) - 0.3)
    figure.y_range.update(start=-limit * _AIR, end=limit * _AIR)
    figure.title.text = title
    patched(pane)


_AIR = 1.08
"""How much higher the axis is than the highest bar."""


def _bar_rows(values: Sequence[float], names: Sequence[str], unit: str) -> list[tuple[Any, ...]]:
    return [
        (i - 0.42, min(v, 0.0), i + 0.42, max(v, 0.0), style.plain(n), f"{v:+.3f} {unit}", v)
        for i, (v, n) in enumerate(zip(values, names, strict=True))
    ]


def meters(
    frame: pd.DataFrame,
    names: str,
    value: str,
    *,
    title: str,
    said: Callable[[float], str],
    before: float | None = None,
    hue: str = colour.OTHER,
) -> hv.Overlay:
    """One bar per row with its number beside it; `before` is a stroke to compare with."""
    style.load()
    import holoviews as hv

    rows = [
        (0.0, i - 0.3, float(v), i + 0.3, style.plain(n), said(v))
        for i, (n, v) in enumerate(zip(frame[names], frame[value], strict=True))
    ]
    most = max((r[2] for r in rows), default=1.0) or 1.0
    parts: list[Any] = [
        hv.Rectangles(rows, ["x0", "y0", "x1", "y1"], ["name", "said"])
        .opts(
            backend="bokeh",
            fill_color=hue,
            line_color=None,
            tools=["hover"],
            hover_tooltips=["@name", "@said"],
        )
        .opts(backend="matplotlib", facecolor=hue, edgecolor="none"),
        hv.Labels([(r[2] + most * 0.015, i, r[5]) for i, r in enumerate(rows)], ["x", "y"], "text")
        .opts(backend="bokeh", text_color=colour.INK, text_font_size="12px", text_align="left")
        .opts(backend="matplotlib", color=colour.INK, size=8, horizontalalignment="left"),
    ]
    if before is not None:
        parts.append(
            hv.Segments([(before, -0.5, before, len(rows) - 0.5)])
            .opts(backend="bokeh", color=colour.INK, line_width=1.5, line_dash="dashed")
            .opts(backend="matplotlib", color=colour.INK, linewidth=1, linestyle="dashed")
        )
    shared: dict[str, Any] = {
        "xlim": (0, most * 1.12),
        "ylim": (-0.6, len(rows) - 0.4),
        "invert_yaxis": True,
        "yticks": [(i, style.plain(n, 40)) for i, n in enumerate(frame[names])],
        "xlabel": "",
        "ylabel": "",
        "title": title,
    }
    quiet = {"show_legend": False}
    return finish(
        hv.Overlay(parts), height=78 + 36 * len(rows), bokeh=quiet, matplotlib=quiet, **shared
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
) -> hv.Overlay:
    """A table as coloured cells, each with its number; a dash where that is NaN, for what cannot be
    told.

    `value` is drawn as it is; give percent if percent is meant.
    """
    style.load()
    import holoviews as hv

    ys, xs = list(dict.fromkeys(frame[row])), list(dict.fromkeys(frame[column]))
    limit = top if top is not None else colour.limit(frame[value])
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
        texts.append((x, y, f"{v:+.0f}" if signed else f"{v:.0f}", colour.text_on(shade)))
    scale = colour.signed_scale() if signed else colour.single_scale()
    shared: dict[str, Any] = {
        "xlim": (-0.5, len(xs) - 0.5),
        "ylim": (-0.5, len(ys) - 0.5),
        "invert_yaxis": True,
        "xticks": [(i, style.plain(x, 18)) for i, x in enumerate(xs)],
        "yticks": [(i, style.plain(y, 18)) for i, y in enumerate(ys)],
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
                (title, f"@v{{0.0}} {unit}"),
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
        "width": 150 + 62 * len(xs),
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
