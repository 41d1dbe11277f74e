"""Tens of thousands of neurons in one picture, and what a click in it means."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from workbench import draw
from workbench.draw import linking, style
from workbench.draw.neuron_map import CATEGORIES, hue_of, neuron_at
from workbench.selection import Selection

KINDS = ["code", "sums"]


def arrays(neurons: int = 2000) -> tuple[xr.DataArray, xr.DataArray]:
    """Three layers, one of them without neurons of its own beyond the tenth."""
    strength = np.full((3, neurons), 0.1, np.float32)
    kind = np.full((3, neurons), -1)
    strength[0, 700], kind[0, 700] = 0.9, 1
    strength[1, 701], strength[1, 702], kind[1, 701] = 0.5, 0.95, 0
    strength[2, 10:] = np.nan
    coords = {"layer": [2, 3, 5]}
    dims = ("layer", "neuron")
    return xr.DataArray(strength, dims=dims, coords=coords), xr.DataArray(kind, dims=dims)


def drawn(marked: pd.DataFrame | None = None) -> Any:
    style.load()
    import holoviews as hv

    strength, kind = arrays()
    picture = draw.neuron_map(
        strength, kind, kinds=KINDS, title="Neurons", says="precision", marked=marked
    )
    return hv.render(picture, backend="bokeh")


def data_of(figure: Any, column: str) -> Any:
    return next(r.data_source.data for r in figure.renderers if column in r.data_source.data)


def test_a_pixel_shows_the_strongest_neuron_of_a_kind() -> None:
    data = data_of(drawn(), "neuron")
    image, who = (np.asarray(data[name][0]) for name in ("image", "neuron"))
    assert image.shape == (4, 384)  # rows from layer 2 to 5, and far fewer pixels than neurons
    shown = np.argwhere(np.isfinite(image))
    assert sorted(int(who[tuple(at)]) for at in shown) == [700, 701]
    row = {int(who[tuple(at)]): int(at[0]) for at in shown}
    assert row == {700: 0, 701: 1}
    # The second kind has the second eight shades, and what is stronger is deeper.
    assert image[0][np.isfinite(image[0])].tolist() == [8 + 7]
    assert image[1][np.isfinite(image[1])].tolist() == [4]
    assert np.isnan(who[2]).all()  # layer 4 has no neurons


def test_a_click_means_the_marked_neuron_nearby_or_the_pixels() -> None:
    marked = pd.DataFrame({"layer": [3], "number": [712], "name": ["L3N712"], "kind": [0]})
    figure = drawn(marked)
    image, points = data_of(figure, "neuron"), data_of(figure, "hue")
    assert neuron_at(image, points, 705.0, 3.2) == (3, 712)
    assert neuron_at(image, None, 701.0, 3.2) == (3, 701)
    assert neuron_at(image, points, 701.0, 2.0) == (2, 700)
    assert neuron_at(image, points, 1500.0, 5.0) is None
    assert neuron_at(image, points, -40.0, 3.0) is None
    assert neuron_at(image, points, 10.0, 9.0) is None


def test_a_tap_chooses_the_neuron() -> None:
    from bokeh.events import Tap

    figure, selection = drawn(), Selection()
    linking.link_picture(SimpleNamespace(object=figure), "feature", SimpleNamespace(
        selection=selection))  # fmt: skip
    tapped = figure._event_callbacks["tap"][-1]
    tapped(Tap(figure, x=701.0, y=3.1))
    assert selection.feature == ("L3", 701)
    tapped(Tap(figure, x=float("nan"), y=3.1))
    assert selection.feature == ("L3", 701)


def test_a_tap_on_a_matrix_chooses_row_and_column() -> None:
    from bokeh.events import Tap

    style.load()
    import holoviews as hv

    rows = [(a, b, n) for n, (a, b) in enumerate([("x", "p"), ("x", "q"), ("y", "p"), ("y", "q")])]
    frame = pd.DataFrame(rows, columns=["capability", "of", "rise"])
    picture = draw.matrix(frame, "capability", "of", "rise", title="Lost", unit="nats", decimals=2)
    figure = hv.render(picture, backend="bokeh")
    chosen: list[tuple[str, str]] = []
    pick = SimpleNamespace(choose=lambda *given: chosen.append(given))
    linking.link_picture(SimpleNamespace(object=figure), "capability,of", pick)
    tapped = figure._event_callbacks["tap"][-1]
    tapped(Tap(figure, x=1.2, y=0.1))
    assert chosen == [("capability", "x"), ("of", "q")]
    tapped(Tap(figure, x=7.0, y=0.1))
    assert len(chosen) == 2
    labels = [r.data_source.data["text"] for r in figure.renderers if "text" in
              r.data_source.data]  # fmt: skip
    assert {"3.00", "0.00"} <= {text for each in labels for text in each}


def test_it_is_drawn_still_and_its_key_names_the_colours() -> None:
    style.load(stills=True)
    import holoviews as hv

    strength, kind = arrays()
    picture = draw.neuron_map(strength, kind, kinds=KINDS, title="Neurons", says="precision")
    assert hv.renderer("matplotlib").get_plot(picture) is not None
    key = draw.kind_key("Colours:", KINDS)
    assert CATEGORIES[1] in key
    assert "sums" in key
    assert hue_of(len(CATEGORIES)) == CATEGORIES[0]
    assert "&lt;b&gt;" in draw.kind_key("", ["<b>"])


def test_a_map_of_many_neurons_is_small() -> None:
    from bokeh.embed import json_item

    style.load()
    import holoviews as hv

    strength = xr.DataArray(
        np.random.default_rng(0).uniform(size=(30, 1536)).astype(np.float32),
        dims=("layer", "neuron"), coords={"layer": range(30)},
    )  # fmt: skip
    kind = xr.DataArray(np.zeros((30, 1536), int), dims=("layer", "neuron"))
    picture = draw.neuron_map(strength, kind, kinds=KINDS, title="Neurons", says="precision")
    size = len(json.dumps(json_item(hv.render(picture, backend="bokeh"))))
    assert size < 400_000
