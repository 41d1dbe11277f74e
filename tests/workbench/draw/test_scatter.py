"""Intervals and clouds: what is drawn is what was measured, in both back ends."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import pandas as pd
import pytest

from workbench.draw import scatter, style
from workbench.draw.figure import render
from workbench.draw.long_tables import curves


@pytest.fixture(scope="module", autouse=True)
def both_back_ends() -> None:
    style.load(stills=True)


@pytest.fixture
def means() -> pd.DataFrame:
    rows = [
        ("one", "a", 1.0, 0.5, 1.5, 9),
        ("one", "b", -2.0, -3.0, -1.0, 9),
        ("<b>two</b>", "a", 0.2, np.nan, np.nan, 1),
    ]
    return pd.DataFrame(rows, columns=["name", "of", "mean", "low", "high", "n"])


def both(element: hv.Element | hv.Overlay) -> None:
    render(element)
    hv.renderer("matplotlib").get_plot(element)


def test_intervals_hold_every_mean_and_zero(means: pd.DataFrame) -> None:
    drawn = scatter.intervals(
        means, "name", "of", {"a": "#111111", "b": "#222222"}, title="t", unit="nats"
    )
    both(drawn)
    shown = pd.concat([e.dframe() for e in drawn if isinstance(e, hv.Points)])
    assert sorted(shown["x"]) == sorted(means["mean"])
    assert "+1.000 nats, n 9" in set(shown["said"])
    spans = pd.concat([e.dframe() for e in drawn if isinstance(e, hv.Segments)])
    assert len(spans) == 2  # one of one value has none
    low, high = hv.Store.lookup_options("bokeh", drawn, "plot").kwargs["xlim"]
    assert low < -3 < 0 < 1.5 < high


def test_a_cloud_loses_nothing() -> None:
    rng = np.random.default_rng(0)
    n = 5000
    frame = pd.DataFrame(
        {
            "x": rng.integers(1, 10_000, n),
            "y": rng.integers(0, 500, n),
            "name": [f"t{i}" for i in range(n)],
        }
    )
    marked = frame["x"] > 9_900
    drawn = scatter.density_scatter(
        frame.assign(marked=marked),
        "x",
        "y",
        "name",
        "marked",
        title="t",
        xlabel="occurrences",
        ylabel="features",
        many="many",
        few="few",
    )
    both(drawn)
    (image,) = (e for e in drawn if isinstance(e, hv.Image))
    (dots,) = (e for e in drawn if isinstance(e, hv.Points))
    counted = np.nansum(image.dimension_values(2))
    assert counted == ((frame["y"] > 0) & ~marked).sum()
    assert len(dots) == ((frame["y"] > 0) & marked).sum()
    # Not only as many, but where they are: every row adds one to the cell around its logarithms.
    rest = frame[(frame["y"] > 0) & ~marked]
    u, v, counts = (np.nan_to_num(image.dimension_values(dim, flat=True)) for dim in (0, 1, 2))
    for axis, column in ((u, "x"), (v, "y")):
        cell = np.diff(np.unique(axis)).max()
        assert np.average(axis, weights=counts) == pytest.approx(
            np.log10(rest[column]).mean(), abs=cell
        )


def test_a_cloud_of_marked_rows_alone() -> None:
    frame = pd.DataFrame({"x": [5.0], "y": [7.0], "name": ["$$x$$"], "marked": [True]})
    words = {"title": "t", "xlabel": "x", "ylabel": "y", "many": "many", "few": "few"}
    drawn = scatter.density_scatter(frame, "x", "y", "name", "marked", **words)
    both(drawn)
    assert not [e for e in drawn if isinstance(e, hv.Image)]
    (dots,) = (e for e in drawn if isinstance(e, hv.Points))
    assert dots.dframe()[["u", "v"]].values.tolist() == [[np.log10(5), np.log10(7)]]


def test_a_histogram_shows_every_count() -> None:
    drawn = scatter.histogram(
        [3, 0, 5], [1.0, 2.0, 4.0, 8.0], title="t", xlabel="activation", of="tokens"
    )
    both(drawn)
    assert drawn.dframe()["y1"].tolist() == [3, 0, 5]
    assert "4 to 8" in set(drawn.dframe()["between"])


def test_a_curve_goes_on_over_places_where_only_others_were_measured():
    rows = [("a", 1, 0.1), ("a", 4, 0.4), ("b", 2, 0.5), ("b", 3, 0.6)]
    frame = pd.DataFrame(rows, columns=["of", "x", "y"])
    drawn = curves(frame, "x", "y", "of", title="Two curves", ylabel="y")
    found = {el.label: el.array().tolist() for el in drawn if isinstance(el, hv.Curve)}
    assert found == {"a": [[1, 0.1], [4, 0.4]], "b": [[2, 0.5], [3, 0.6]]}
