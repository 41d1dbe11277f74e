"""Layers × neurons, tens of thousands of them: each pixel shows the strongest of the neurons that
fall into it, in the colour of its kind and the deeper the stronger (shading by category, as
Datashader does).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from workbench.draw import colour, style
from workbench.draw.charts import finish

if TYPE_CHECKING:
    import holoviews as hv
    import numpy as np
    import pandas as pd
    import xarray as xr

_COLUMNS = 384  # of pixels that the neurons of a layer share
_SHADES = 8
_PALEST = 0.1
_NEAR = 0.012  # of the width: as far from a marked neuron a click still means it
CATEGORIES = (
    "#3f7fc1", "#d9792b", "#2f9f78", "#8b68d0", "#c2475b", "#8a7a2f", "#4aa3b5", "#b0708f",
    "#6b8e3d", "#7a828f",
)  # fmt: skip
"""Colours of kinds, in the order in which they are named; told apart by people who see fewer."""


def neuron_map(
    strength: xr.DataArray,
    kind: xr.DataArray,
    *,
    kinds: Sequence[str],
    title: str,
    says: str,
    marked: pd.DataFrame | None = None,
    least: float = 0.0,
) -> hv.Overlay:
    """A map of neurons. A click chooses one: a marked one nearby, else the strongest of the pixel.

    Args:
        strength: dims (layer, neuron), from 0 to 1; NaN where there is no neuron.
        kind: dims (layer, neuron), numbers of `kinds`; below 0: left white.
        kinds: what neurons are told apart by.
        says: what `strength` is, for hovering.
        marked: neurons drawn as points of their own: columns layer, number, name, kind.
        least: the strength at which colours begin, palest.
    """
    style.load()
    import holoviews as hv

    layers = [int(layer) for layer in strength["layer"].values]
    n = strength.sizes["neuron"]
    shown, who, how = _pixels(strength.values, kind.values, layers, least)
    bounds = (-0.5, layers[0] - 0.5, n - 0.5, layers[-1] + 0.5)
    palette = [shade for k in range(len(kinds)) for shade in _shades(hue_of(k))]
    image = hv.Image(
        # HoloViews has the first row on top; the axis is turned, so layer 0 is there already.
        (_x(bounds, shown), _y(bounds, shown), shown, who, how),
        ["neuron_at", "layer_at"],
        ["shown", "neuron", "strength"],
    )
    tips = [("neuron", "@neuron{0}"), (says, "@strength{0.00}")]
    parts: list[Any] = [
        image.opts(
            backend="bokeh", cmap=palette, clim=(-0.5, len(palette) - 0.5), tools=["hover"],
            hover_tooltips=tips, clipping_colors={"NaN": "transparent"},
        ).opts(
            backend="matplotlib", cmap=palette, clim=(-0.5, len(palette) - 0.5),
            clipping_colors={"NaN": "#ffffff00"}, aspect="auto",
        )
    ]  # fmt: skip
    if marked is not None and len(marked):
        rows = [
            (int(r["number"]), int(r["layer"]), str(r["name"]), kinds[int(r["kind"])],
             hue_of(int(r["kind"])))
            for r in marked.to_dict("records")
        ]  # fmt: skip
        parts.append(
            hv.Points(rows, ["neuron_at", "layer_at"], ["name", "kind", "hue"])
            .opts(
                backend="bokeh", color="hue", line_color=colour.RING, size=7, tools=["hover"],
                hover_tooltips=["@name", "@kind"],
            )
            .opts(backend="matplotlib", color="hue", edgecolor=colour.RING, s=14)
        )  # fmt: skip
    every = 1 if len(layers) <= 16 else 2 if len(layers) <= 36 else 4
    shared: dict[str, Any] = {
        "xlim": (bounds[0], bounds[2]),
        "ylim": (bounds[1], bounds[3]),
        "invert_yaxis": True,
        "yticks": [(layer, str(layer)) for layer in layers[::every]],
        "xlabel": "neuron",
        "ylabel": "layer",
        "title": title,
        "show_legend": False,
    }
    height = 110 + (14 if len(layers) <= 40 else 8) * (1 + layers[-1] - layers[0])
    return finish(hv.Overlay(parts), height=height, bokeh={}, matplotlib={}, grid=False, **shared)


def hue_of(kind: int) -> str:
    """The colour of the kind with this number."""
    return CATEGORIES[kind % len(CATEGORIES)]


def kind_key(text: str, kinds: Sequence[str]) -> Markup:
    """A paragraph that ends with what the colours mean."""
    look = '<span style="display:inline-block;background:{};border-radius:3px;width:12px;'
    look += 'height:12px;margin:0 4px 0 10px;vertical-align:-1px"></span>{}'
    keys = (Markup(look).format(hue_of(n), kind) for n, kind in enumerate(kinds))
    return Markup('<p class="wb-says">{} {}</p>').format(text, Markup("").join(keys))


def neuron_at(data: Mapping[str, Any], points: Mapping[str, Any] | None, x: float, y: float
              ) -> tuple[int, int] | None:  # fmt: skip
    """(layer, number) of the neuron that a click means; None outside.

    Args:
        data: of the drawn image, as Bokeh has it; points: of the marked neurons.
    """
    image = data["neuron"][0]
    left, bottom = float(data["x"][0]), float(data["y"][0])
    wide, high = float(data["dw"][0]), float(data["dh"][0])
    column = math.floor((x - left) / wide * image.shape[1])
    row = math.floor((y - bottom) / high * image.shape[0])
    if not (0 <= column < image.shape[1] and 0 <= row < image.shape[0]):
        return None
    layer = round(y)
    if points is not None:
        near = [
            (abs(float(at) - x), int(at))
            for at, of in zip(points["neuron_at"], points["layer_at"], strict=True)
            if int(of) == layer and abs(float(at) - x) <= _NEAR * wide
        ]
        if near:
            return layer, min(near)[1]
    found = float(image[row, column])
    return (layer, int(found)) if found == found else None


def _pixels(
    strength: np.ndarray, kind: np.ndarray, layers: Sequence[int], least: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(place in the palette, number of the neuron, its strength) by layer and column of pixels."""
    import numpy as np

    n = strength.shape[1]
    edges = np.linspace(0, n, min(n, _COLUMNS) + 1).astype(int)
    shape = (1 + layers[-1] - layers[0], len(edges) - 1)
    shown, who, how = (np.full(shape, np.nan, np.float32) for _ in range(3))
    for row, layer in enumerate(layers):
        for column, (start, end) in enumerate(pairwise(edges)):
            values = strength[row, start:end].astype(float)
            if np.isnan(values).all():
                continue
            # A neuron of a kind comes before any that is left white.
            order = np.where(np.isnan(values), -1.0, values) + (kind[row, start:end] >= 0)
            best = start + int(order.argmax())
            at = layer - layers[0], column
            who[at], how[at] = best, strength[row, best]
            if kind[row, best] >= 0:
                share = (float(strength[row, best]) - least) / (1.0 - least)
                step = min(_SHADES - 1, max(0, int(_SHADES * share)))
                shown[at] = int(kind[row, best]) * _SHADES + step
    return shown, who, how


def _shades(hue: str) -> list[str]:
    """A colour from pale to full."""
    channels = [int(hue[i : i + 2], 16) for i in (1, 3, 5)]
    found = []
    for step in range(_SHADES):
        share = _PALEST + (1 - _PALEST) * step / (_SHADES - 1)
        mixed = (round(255 + (c - 255) * share) for c in channels)
        found.append("#{:02x}{:02x}{:02x}".format(*mixed))
    return found


def _x(bounds: tuple[float, ...], values: np.ndarray) -> np.ndarray:
    import numpy as np

    half = (bounds[2] - bounds[0]) / values.shape[1] / 2
    return np.linspace(bounds[0] + half, bounds[2] - half, values.shape[1])


def _y(bounds: tuple[float, ...], values: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.arange(len(values)) + bounds[1] + 0.5
