"""Pictures that are HTML, grids beside each other, bins that are sent: what is said, escaped and
left out.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.helpers.synthetic import HOSTILE
from workbench import draw
from workbench.draw import passage, updates
from workbench.draw.figure import figure_of
from workbench.draw.head_grids import cells_of
from workbench.draw.layer_token_table import WINDOW
from workbench.draw.view import live_picture


def effects(values: list[list[float]], first: int = 0) -> xr.DataArray:
    coords = {"layer": [0, 3], "pos": range(first, first + len(values[0]))}
    return xr.DataArray(values, dims=("layer", "pos"), coords=coords)


def table(values: xr.DataArray, here: tuple[int | None, int], *, signed: bool = True) -> str:
    tokens = [f"t{i}" for i in range(60)]
    return str(
        draw.effect_table(values, tokens, here, caption="Effects", unit="nats", signed=signed)
    )


def test_effects_have_signs_and_sizes_have_digits() -> None:
    values = effects([[0.01, -2.0], [float("nan"), 0.125]])
    signed, sizes = table(values, (3, 1)), table(values, (None, 1), signed=False)
    assert ">-2.0</td>" in signed
    assert ">0</td>" in signed  # a hundredth is nothing beside 2
    assert 'title="layer 3, token 1: +0.1250 nats"' in signed
    assert 'data-at="3,1" class="wb-here"' in signed
    assert "Effects (nats)" in signed
    assert ">0.12</td>" in sizes
    assert 'data-at="3,0"' not in signed  # what was not measured is a dash, and no place to click


def test_the_table_begins_where_there_are_numbers() -> None:
    late = effects([[1.0, 2.0], [3.0, 4.0]], first=50)
    assert 'data-at="0,50"' in table(late, (None, 0))
    early = effects([[1.0, 2.0], [3.0, 4.0]])
    missing = table(early, (None, 59))
    assert "Nothing was measured at these tokens" in missing
    assert "token from number 0 on" in missing
    assert f'data-at="{WINDOW}"' not in table(early, (None, 0))


def test_a_card_says_numbers_with_their_units_and_escapes() -> None:
    lines = {"loss": "{loss:+.3f} nats", HOSTILE: "{loss:.0f}"}
    shown = draw.card(HOSTILE, {"loss": 0.25, "n": 3}, lines, "one of {n}")
    assert "+0.250 nats" in shown
    assert "one of 3" in shown
    assert "<script" not in shown
    assert "L1H2 was not measured" in draw.card("L1H2", None, lines)


def test_grids_beside_each_other_share_their_scale_only_if_asked() -> None:
    heads = {"layer": [0], "head": [0, 1]}
    values = {"small": [[1.0, -1.0]], "large": [[9.0, 0.0]]}
    arrays = [
        (
            xr.DataArray(rows, dims=("layer", "head"), coords=heads),
            draw.Scale(title, "nats", "less", "more"),
        )
        for title, rows in values.items()
    ]

    def limits(**more: bool) -> list[float]:
        grids = draw.grids(arrays, **more)
        assert [grid.options["labels"] for grid in grids] == [True, False]
        figures = [figure_of(grid.drawn()) for grid in grids]
        assert [f.title.text for f in figures] == ["small", "large"]
        assert [list(cells_of(f).data["value"]) for f in figures] == [[1, -1], [9, 0]]
        return (
            [f.right[0].color_mapper.high for f in figures]
            if figures[0].right
            else [f.below[-1].color_mapper.high for f in figures]
        )

    assert limits() == [1, 9]
    assert limits(one_scale=True) == [9, 9]
    hover = [set(g.options["hover"]) for g in draw.grids(arrays, hover={"more": arrays[0][0]})]
    assert hover == [{"large", "more"}, {"small", "more"}]
    assert draw.grids(arrays)[0].options["hover"] == {}


def test_a_passage_is_marked_by_what_the_model_says_of_it() -> None:
    tokens = pd.DataFrame(
        {
            "token": ["a", " b", " c"],
            "part": ["prefix", "suffix", "suffix"],
            "is_greedy": [False, True, False],
            "p": [np.nan, 0.9, 0.2],
            "greedy_token": ["", " b", HOSTILE],
        }
    )
    shown = passage.strip(tokens, title="One")
    for mark in (passage.GIVEN, passage.SAID, passage.ELSE):
        assert mark in shown
    assert "p 0.90; first choice “ b”" in shown
    assert "<script" not in shown
    costs = passage.strip(tokens, title="One", values=pd.Series([3.0, 0.0, np.nan]), unit="lost")
    assert "lost" in costs
    assert "probability of each token" not in costs


def test_a_histogram_takes_other_counts_as_if_it_was_drawn_from_them() -> None:
    words = {"xlabel": "activation", "of": "tokens"}
    first = {"counts": [3, 1], "edges": [1.0, 2.0, 4.0], "title": "First", **words}
    other = {"counts": [5, 0, 90], "edges": [0.5, 1.0, 8.0, 64.0], "title": "Other", **words}
    pane = live_picture(draw.histogram(**first))
    updates.fill("histogram", pane, other)
    filled, drawn = pane.object, figure_of(draw.histogram(**other))
    assert filled.title.text == "Other"
    for one, wanted in zip(
        (filled.x_range, filled.y_range), (drawn.x_range, drawn.y_range), strict=True
    ):
        assert (one.start, one.end) == pytest.approx((wanted.start, wanted.end))
    data = [list(figure.renderers[0].data_source.data["top"]) for figure in (filled, drawn)]
    assert data[0] == data[1]
    keys = [sorted(figure.renderers[0].data_source.data) for figure in (filled, drawn)]
    assert keys[0] == keys[1]
    assert list(filled.below[0].ticker.ticks) == list(drawn.below[0].ticker.ticks)
    assert filled.below[0].major_label_overrides == drawn.below[0].major_label_overrides
