"""A picture that is drawn already becomes models again, each time its own."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from workbench.draw.charts import lines
from workbench.draw.figure import Figure, drawn, figure_of


@pytest.fixture(scope="module")
def picture() -> Figure:
    frame = pd.DataFrame({"x": [1, 2, 3], "one": [1.0, 2.0, 3.0], "other": [3.0, 2.0, 1.0]})
    series = {"one": "#111111", "other": "#222222"}
    return drawn(lines(frame, "x", series, title="Both", ylabel="how many"))


@pytest.mark.parametrize("stored", [False, True])
def test_a_picture_with_a_legend_and_what_the_browser_does_with_it(
    picture: Figure, stored: bool
) -> None:
    kept = Figure(json.loads(json.dumps(picture.document))) if stored else picture
    figure = figure_of(kept)
    assert figure.title.text == "Both"
    (fit,) = figure.js_property_callbacks["change:inner_width"]
    assert fit.args["figure"] is figure
    assert fit.args["legends"] == figure.legend


def test_no_two_share_a_model(picture: Figure) -> None:
    one, other = figure_of(picture), figure_of(picture)
    assert not {model.id for model in one.references()} & {model.id for model in other.references()}
