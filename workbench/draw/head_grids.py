"""Layers × heads: one cell per attention head, layer 0 on top, coloured on the signed scale.

Hover says which head, its exact value, its rank and role. Once linked (`link_grid`), a click
chooses the head, shift-click adds it, and what is chosen in any other view is outlined here. The
same by keyboard: `keyboard.py`. Unit: whatever the caller's values have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from workbench.draw import colour, style
from workbench.selection import Selection, head_name

if TYPE_CHECKING:
    import holoviews as hv
    import xarray as xr

_NO_VALUE = "#b9bec7"


def head_grid(
    values: xr.DataArray,
    *,
    title: str,
    unit: str,
    low_word: str = "lowers",
    high_word: str = "raises",
    hover: Mapping[str, xr.DataArray] | None = None,
    marks: Mapping[tuple[int, int], str] | None = None,
    groups: int | None = None,
    top: float | None = None,
    labels: bool = True,
) -> hv.Element:
    """A grid of heads.

    Args:
        values: dims (layer, head), signed; NaN cells are grey with a dash. Coordinates are true
            layer numbers; a layer that is missing between two others stays an empty row.
        title, unit: what is shown and in what.
        low_word, high_word: what red and blue mean, shown at the ends of the scale.
        hover: more arrays of the same dims, named as a person reads them.
        marks: role of a head ("memory", "context", …): outlined in the role's colour, and said on
            hover.
        groups: number of key-value heads; heads that share one stand between thin lines.
        top: limit of the colour scale, to share it between grids; default: the largest value here.
        labels: name the layers on the axis.
    """
    style.load()
    import holoviews as hv

    layers = [int(v) for v in values["layer"].values]
    heads = [int(v) for v in values["head"].values]
    limit = top if top is not None else colour.symmetric_limit(values.values.ravel())
    hover, marks = hover or {}, marks or {}
    frame = _cells(values, hover, marks)
    fields = [f"field{i}" for i in range(len(hover))]
    tooltips = [
        ("head", "@name"),
        (title, f"@value{{+0.000}} {unit}"),
        ("rank", "@rank"),
        ("role", "@role"),
    ]
    tooltips += [(style.plain(name), f"@field{i}{{+0.000}}") for i, name in enumerate(hover)]
    size = {
        "width": 78 + _cell_width(len(heads)) * len(heads),
        "height": 118 + _cell_height(len(layers)) * (1 + layers[-1] - layers[0]),
    }
    every = 1 if len(layers) <= 16 else 2 if len(layers) <= 36 else 4
    head_step = 1 if len(heads) <= 16 else 4
    shared: dict[str, Any] = {
        "xlim": (heads[0] - 0.5, heads[-1] + 0.5),
        "ylim": (layers[0] - 0.5, layers[-1] + 0.5),
        "invert_yaxis": True,
        "xticks": [(h, str(h)) for h in heads[::head_step]],
        "yticks": [(layer, str(layer)) for layer in layers[::every]],
        "xlabel": "head",
        "ylabel": "layer" if labels else "",
        "title": (
            f"{title} ({unit})"
            if len(f"{title} ({unit})") * 6.4 < _cell_width(len(heads)) * len(heads)
            else title
        ),
    }
    ends = {-limit: f"−{limit:.2g} {low_word}", 0.0: "0", limit: f"+{limit:.2g} {high_word}"}
    cells = hv.Rectangles(
        frame, ["x0", "y0", "x1", "y1"], ["value", "name", "rank", "role", *fields]
    ).opts(
        backend="bokeh",
        color="value",
        cmap=list(colour.signed_scale()),
        clim=(-limit, limit),
        clipping_colors={"NaN": _NO_VALUE},
        line_color=None,
        tools=["hover"],
        hover_tooltips=tooltips,
        colorbar=True,
        colorbar_position="bottom",
        colorbar_opts=_bar(ends),
        nonselection_alpha=1,
    )
    cells = cells.opts(
        backend="matplotlib",
        color="value",
        cmap=list(colour.signed_scale()),
        clim=(-limit, limit),
        linewidth=0,
        colorbar=False,
    )
    grid = hv.Overlay([cells, *_ornaments(values, marks, groups)])
    return grid.opts(
        hv.opts.Overlay(**style.bokeh(grid=False, show_legend=False, **size, **shared))
    ).opts(hv.opts.Overlay(**style.matplotlib(grid=False, show_legend=False, **size, **shared)))


@dataclass(frozen=True)
class Scale:
    """How a grid of heads is coloured: title, unit, and the words at the two ends.

    Args:
        middle: the value between them, from which all are counted.
    """

    title: str
    unit: str
    low: str
    high: str
    middle: float = 0.0


def outline_key(text: str, roles: Mapping[str, str]) -> Markup:
    """A paragraph that ends with what outlines mean.

    Args:
        roles: words to colours.
    """
    style = "display:inline-block;border:2.5px solid {};border-radius:3px;padding:0 6px"
    look = f'<span style="{style}">{{}}</span>'
    keys = (Markup(look).format(hue, word) for word, hue in roles.items())
    return Markup('<p class="wb-says">{} Outlined: {}</p>').format(text, Markup(" ").join(keys))


def _cell_width(n: int) -> int:
    return 28 if n <= 5 else 18 if n <= 16 else 12 if n <= 40 else 8


def _cell_height(n: int) -> int:
    return 26 if n <= 8 else 17 if n <= 16 else 14 if n <= 36 else 9


def _bar(ends: Mapping[float, str]) -> dict[str, Any]:
    from bokeh.models import FixedTicker

    return {
        "height": 9,
        "ticker": FixedTicker(ticks=list(ends)),
        "major_label_overrides": dict(ends),
        **style.COLOUR_BAR,
    }


def _cells(
    values: xr.DataArray, hover: Mapping[str, xr.DataArray], marks: Mapping[tuple[int, int], str]
) -> Any:
    """One row per cell. Rank 1 is the largest absolute value."""
    import numpy as np
    import pandas as pd

    plane = values.transpose("layer", "head")
    grid = np.meshgrid(plane["layer"].values, plane["head"].values, indexing="ij")
    frame = pd.DataFrame(
        {
            "layer": grid[0].ravel(),
            "head": grid[1].ravel(),
            "value": plane.values.ravel().astype(float),
        }
    )
    known = int(frame["value"].notna().sum())
    order = frame["value"].abs().rank(ascending=False, method="min")
    frame["rank"] = [f"{int(r)} of {known}" if r == r else "no value" for r in order]
    names = list(zip(frame["layer"], frame["head"], strict=True))
    frame["name"] = [head_name(*at) for at in names]
    frame["role"] = [marks.get((int(a), int(b))) or "–" for a, b in names]
    for i, array in enumerate(hover.values()):
        frame[f"field{i}"] = array.transpose("layer", "head").values.ravel().astype(float)
    # A thin gap keeps neighbouring cells apart on any background.
    return frame.assign(
        x0=frame["head"] - 0.47,
        x1=frame["head"] + 0.47,
        y0=frame["layer"] - 0.46,
        y1=frame["layer"] + 0.46,
    )


def _ornaments(
    values: xr.DataArray, marks: Mapping[tuple[int, int], str], groups: int | None
) -> list[Any]:
    import holoviews as hv
    import numpy as np

    heads, layers = len(values["head"]), values["layer"].values
    strokes: list[tuple[float, float, float, float, str]] = []
    if groups and 1 < groups < heads and heads % groups == 0:
        size = heads // groups
        strokes += [
            (g * size - 0.5, layers[0] - 0.5, g * size - 0.5, layers[-1] + 0.5, colour.GRID)
            for g in range(1, groups)
        ]
    plane = values.transpose("layer", "head")
    missing = [
        (plane["head"].values[j], plane["layer"].values[i])
        for i, j in np.argwhere(~np.isfinite(plane.values))
    ]
    present = set(layers.tolist())
    missing += [
        (h, layer)
        for layer in range(int(layers[0]), int(layers[-1]))
        if layer not in present
        for h in values["head"].values
    ]
    strokes += [(x - 0.18, y, x + 0.18, y, colour.RING) for x, y in missing]
    # One element each for all strokes and all outlines: every further element costs a page tens of
    # milliseconds.
    parts: list[Any] = []
    if strokes:
        parts.append(
            hv.Segments(strokes, ["x0", "y0", "x1", "y1"], "hue")
            .opts(backend="bokeh", color="hue", line_width=1.3)
            .opts(backend="matplotlib", color="hue", linewidth=1)
        )
    outlined = [
        (h - 0.42, layer - 0.40, h + 0.42, layer + 0.40, colour.CATEGORY.get(role, colour.FUNCTION))
        for (layer, h), role in marks.items()
        if role
    ]
    if outlined:
        parts.append(
            hv.Rectangles(outlined, ["x0", "y0", "x1", "y1"], "hue")
            .opts(backend="bokeh", fill_alpha=0, line_color="hue", line_width=2.5)
            .opts(backend="matplotlib", facecolor="none", edgecolor="hue", linewidth=1.6)
        )
    return parts


def link_grid(pane: Any, selection: Selection) -> None:
    """Link a drawn grid with what is chosen: a click chooses a head, shift-click adds it, and what
    is chosen is outlined.

    Args:
        pane: a Panel pane whose object is the Bokeh figure of a `head_grid`.
    """
    from bokeh.models import ColumnDataSource

    from workbench.draw.notify import notify_changed, on_tap

    names = set(cells_of(pane.object).data["name"])
    # Straight in the figure: a choice then sends a few numbers, where a redraw takes a fifth of a
    # second for three grids.
    source = ColumnDataSource(_rings(selection))
    pane.object.quad(
        left="x0",
        right="x1",
        top="y0",
        bottom="y1",
        source=source,
        fill_alpha=0,
        line_color="hue",
        line_width="thick",
    )

    def tapped(x: float, y: float, shift: bool) -> None:
        layer, head = round(y), round(x)
        if head_name(layer, head) in names:
            selection.choose(layer, head, add=shift)

    def chosen(*_: Any) -> None:
        rings = _rings(selection)
        if rings != source.data:
            source.data = rings
            notify_changed(pane)

    on_tap(pane.object, tapped)
    selection.param.watch(chosen, ["heads", "head", "pinned", "hover"])


def cells_of(figure: Any) -> Any:
    """The data source of a drawn grid's cells: one row per head, as `_cells` makes them."""
    return next(r.data_source for r in figure.renderers if "rank" in r.data_source.data)


def _rings(selection: Selection) -> dict[str, list[Any]]:
    """What is chosen: the primary head in a thick ring, others in a thin one; violet: pinned, or
    where the keys are.
    """
    # Colour and not dashes tell them apart: a column cannot carry bokeh's dashes.
    chosen = dict.fromkeys([*selection.heads, *([selection.head] if selection.head else [])])
    rows = [(*_box(*at), 3.2 if at == selection.head else 1.8, colour.RING) for at in chosen]
    others = ((selection.pinned, 1.8), (selection.hover, 3.2))
    rows += [(*_box(*at), thick, colour.FUNCTION) for at, thick in others if at is not None]
    return {
        name: [row[i] for row in rows]
        for i, name in enumerate(("x0", "y0", "x1", "y1", "thick", "hue"))
    }


def _box(layer: int, head: int) -> tuple[float, float, float, float]:
    return head - 0.46, layer - 0.45, head + 0.46, layer + 0.45
