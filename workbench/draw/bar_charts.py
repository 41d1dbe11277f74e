"""Bars: rates with their intervals, signed values, and labelled bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workbench.draw import colour, style
from workbench.wording import formatted, percent, percent_span

if TYPE_CHECKING:
    import holoviews as hv
    import pandas as pd
from workbench.draw.charts import finish

RATES = {"memory": colour.MEMORY, "context": colour.CONTEXT, "other": colour.OTHER}


def rate_bars(
    frame: pd.DataFrame,
    *,
    names: str = "condition",
    title: str,
    words: Mapping[str, str] = RATES,
    of: str = "prompts",
    xlabel: str = "",
) -> hv.Overlay:
    """Rates side by side with their 95 % intervals; one group of bars per row of `frame`, read from
    the top.

    Args:
        frame: columns `names`, each of `words`, and optionally WORD_low and WORD_high, all between
            0 and 1.
        words: category to colour.
        of: what is counted.
        xlabel: what the bars are where nothing is counted, such as probabilities.
    """
    style.load()
    import holoviews as hv

    hover = [(names, "@condition"), ("follows", "@follows"), ("rate", "@rate")]
    counted = [("95 % interval", "@interval"), (of, "@n")]
    if xlabel:
        hover, counted = [(names, "@condition"), ("", "@follows: @rate")], []
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
            interval = percent_span(low, high) if known else "not measured"
            rows.append(
                (
                    0.0,
                    y,
                    100 * row[word],
                    y + thick * 0.88,
                    groups[i],
                    word,
                    percent(row[word]),
                    interval,
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
                hover_tooltips=[*hover, *counted],
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
        "xlabel": xlabel or f"share of {of}, with 95 % interval (%)",
        "ylabel": "",
        "title": title,
        "legend_position": "top",
    }
    return finish(
        hv.Overlay(parts), height=height, bokeh={}, matplotlib={"legend_cols": len(words)}, **shared
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

    limit = top if top is not None else colour.symmetric_limit(values)
    rows = _bar_rows(values, names, unit)
    span = colour.symmetric_limit(values) * _AIR
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

    from workbench.draw.notify import notify_changed

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
    limit = colour.symmetric_limit(values)
    drawn.glyph.fill_color.transform.update(low=-limit, high=limit)
    drawn.data_source.data = {**corners, "name": said, "value": shown, "v": v, "color": v}
    figure.x_range.update(start=-0.7, end=max(len(v), 1) - 0.3)
    figure.y_range.update(start=-limit * _AIR, end=limit * _AIR)
    figure.title.text = title
    notify_changed(pane)


_AIR = 1.08
"""How much higher the axis is than the highest bar."""


def _bar_rows(values: Sequence[float], names: Sequence[str], unit: str) -> list[tuple[Any, ...]]:
    return [
        (i - 0.42, min(v, 0.0), i + 0.42, max(v, 0.0), style.plain(n), f"{v:+.3f} {unit}", v)
        for i, (v, n) in enumerate(zip(values, names, strict=True))
    ]


def labelled_bars(
    frame: pd.DataFrame,
    names: str,
    value: str,
    *,
    title: str,
    said: str = "{:.2f}",
    from_first: bool = False,
    hue: str = colour.OTHER,
) -> hv.Overlay:
    """One bar per row with its number beside it.

    Args:
        said: how the number is written, as a format; "{:%}" writes a share in percent.
        from_first: a stroke at the first row's number, to compare the others with.
    """
    style.load()
    import holoviews as hv

    rows = [
        (0.0, i - 0.3, float(v), i + 0.3, style.plain(n), formatted(said, v))
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
    if from_first:
        before = float(frame[value].iloc[0])
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
