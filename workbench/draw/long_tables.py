"""Curves from a long table: one row per point, one column that says which curve it is on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from workbench.draw import colour
from workbench.draw.charts import lines

if TYPE_CHECKING:
    import holoviews as hv
    import pandas as pd

Scale = Literal["", "doublings", "powers"]
HUES = [
    colour.OTHER,
    colour.BLUE_STROKE,
    colour.CONTEXT,
    colour.FUNCTION,
    colour.QUESTION,
    colour.MEMORY,
    "#5b8c3a",
    "#b23f62",
]


def curves(
    frame: pd.DataFrame,
    x: str,
    y: str,
    by: str,
    *,
    title: str,
    ylabel: str,
    xlabel: str = "",
    names: Mapping[Any, str] | None = None,
    hues: Mapping[Any, str] | None = None,
    order: Sequence[Any] | None = None,
    scale: Scale = "",
    percent: bool = False,
    level: Mapping[str, float | str] | None = None,
    interval: tuple[str, str] | None = None,
    **more: Any,
) -> hv.Overlay:
    """A curve of `y` over `x` for every value of `by`.

    Args:
        names: by value, what the legend says.
        hues: by value, its colour; others take the next free one.
        order: the values that are drawn, in this order; all by default.
        scale: "doublings" puts x at log2(1 + x), "powers" at log10(x); ticks say x itself.
        percent: y is a share, drawn in percent.
        level: dotted horizontal lines, e.g. {"chance": 0.5}, or the column that has the number.
        interval: columns of the lower and upper bound, shaded around each curve.
        more: as `charts.lines`.
    """
    names, hues, level = names or {}, hues or {}, level or {}
    wide = frame.pivot_table(index=x, columns=by, values=y, observed=True, sort=True).reset_index()
    values = [v for v in (order if order is not None else frame[by].unique()) if v in wide]
    ticks: dict[str, Any] = {}
    if scale:
        wide["at"], ticks["xticks"] = _on_scale(wide[x], scale)
    shown = {f"y{i}": 100 * wide[v] if percent else wide[v] for i, v in enumerate(values)}
    series: dict[str, str | tuple[str, str]] = {
        f"y{i}": (str(names.get(v, v)), hues.get(v, HUES[i % len(HUES)]))
        for i, v in enumerate(values)
    }
    bands = {f"y{i}": (f"y{i}_0", f"y{i}_1") for i in range(len(values)) if interval}
    for end, column in enumerate(interval or ()):
        bounds = frame.pivot(index=x, columns=by, values=column).reindex(wide[x])
        shown |= {
            f"y{i}_{end}": bounds[v].to_numpy() * (100 if percent else 1)
            for i, v in enumerate(values)
        }
    for name, given in level.items():
        height = float(frame[given].iloc[0]) if isinstance(given, str) else given
        shown[name] = 100 * height if percent else height
        series[name] = colour.OTHER
    dash = dict.fromkeys(level, "dotted")
    table = wide[["at" if scale else x]].assign(**shown)
    return lines(
        table,
        "at" if scale else x,
        series,
        title=title,
        xlabel=xlabel or x.replace("_", " "),
        ylabel=ylabel,
        **{"dash": dash, "bands": bands, **ticks, **more},
    )


def _on_scale(x: pd.Series, scale: Scale) -> tuple[pd.Series, list[tuple[float, str]]]:
    """Where numbers stand on a scale of logarithms, and its ticks, which say the numbers."""
    import numpy as np

    if scale == "powers":
        places = np.log10(x.astype(float))
        return places, [(d, f"{10**d:,}") for d in range(int(np.ceil(places.max())) + 1)]
    places = np.log2(1 + x.astype(float))
    return places, [(float(d), str(n)) for d, n in zip(places, x, strict=True)]
