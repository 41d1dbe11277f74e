"""The drawing vocabulary, tested as text and as options: what it promises about colour, escaping
and shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests.helpers.synthetic import HOSTILE
from workbench import draw
from workbench.draw import colour, style
from workbench.draw.figure import drawn, figure_of, render
from workbench.draw.keyboard import move
from workbench.draw.view import Row, Table, View, live_picture, pictures, safe_columns, still_parts
from workbench.selection import Selection

if TYPE_CHECKING:
    import holoviews as hv


@pytest.fixture(scope="module", autouse=True)
def both_back_ends() -> None:
    style.load(stills=True)


def test_signed_scale_is_symmetric_and_white_at_zero() -> None:
    scale = colour.signed_scale()
    assert scale[len(scale) // 2] == "#fafafa"
    assert scale[0] == colour.signed(-9, 3)
    assert scale[-1] == colour.signed(9, 3)
    assert colour.symmetric_limit([-3, 1, float("nan")]) == 3
    assert colour.symmetric_limit([]) == 1


@pytest.mark.parametrize(
    ("background", "ink"),
    [("#ffffff", "#16191f"), (colour.signed(-1, 1), "#ffffff"), (colour.signed(1, 1), "#ffffff")],
)
def test_text_flips_with_lightness(background: str, ink: str) -> None:
    assert colour.text_on(background) == ink


def test_token_strip_escapes_and_shows_line_breaks() -> None:
    strip = str(draw.token_strip([HOSTILE, "\n", "Ġworld", "▁x"], [0.1, 0.2, float("nan"), 1]))
    assert "<script" not in strip
    assert "<img" not in strip
    assert "↵</span><br>" in strip
    assert "Ġ" not in strip
    assert "▁" not in strip
    assert "no value" in strip
    assert "rank 1 of 3" in strip


def test_token_strip_marks_spans_and_says_so() -> None:
    strip = str(draw.token_strip(["a", "b"], spans=["subject", ""]))
    assert "border-bottom:3px solid" in strip
    assert "<li>" in strip
    assert "subject" in strip


def test_token_strip_refuses_a_wrong_number_of_values() -> None:
    with pytest.raises(ValueError, match="3 values for 2 tokens"):
        draw.token_strip(["a", "b"], [1, 2, 3])


def grid(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, dims=("layer", "head"), coords={"layer": [2, 5], "head": [0, 1]})


def a_grid() -> hv.Element:
    values = grid(np.array([[0.5, np.nan], [-2.0, 1.0]]))
    return draw.head_grid(values, title="t", unit="logits", marks={(5, 0): "memory"}, groups=2)


def test_head_grid_draws_in_both_back_ends_with_missing_cells() -> None:
    import holoviews as hv

    drawn = a_grid()
    bokeh = render(drawn)
    assert bokeh.toolbar_location is None
    assert bokeh.y_range.start > bokeh.y_range.end  # layer 0 on top
    assert hv.renderer("matplotlib").get_plot(drawn).state is not None


@pytest.mark.parametrize("kept", [False, True])
def test_a_linked_grid_chooses_and_outlines(kept: bool) -> None:
    from bokeh.events import Tap

    pick = Selection()
    pane = live_picture(drawn(a_grid()) if kept else a_grid())
    draw.link_grid(pane, pick)
    rings = next(r.data_source for r in pane.object.renderers if "thick" in r.data_source.data)
    assert rings.data["hue"] == []
    tap = pane.object._event_callbacks[Tap.event_name][0]
    tap(Tap(None, x=1.2, y=4.8))
    assert pick.heads == [(5, 1)]
    tap(Tap(None, x=0.1, y=5.0, modifiers={"shift": True}))
    assert pick.heads == [(5, 1), (5, 0)]
    tap(Tap(None, x=0.0, y=3.0))  # no such layer
    assert pick.head == (5, 0)
    pick.hover = (2, 0)
    assert rings.data["hue"] == [colour.RING, colour.RING, colour.FUNCTION]


def test_what_is_drawn_comes_back_with_ids_of_its_own() -> None:
    kept = drawn(a_grid())
    one, other = figure_of(kept), figure_of(kept)
    assert one.title.text == other.title.text == "t"
    ids = [{model.id for model in figure.references()} for figure in (one, other)]
    assert not ids[0] & ids[1]
    assert not ids[0] & {root["id"] for root in kept.document["roots"]}


def test_filled_bars_are_what_drawing_them_gives() -> None:
    words = {"names": ["a", "b"], "unit": "logits"}
    pane = live_picture(draw.bars([1.0, -2.0], title="before", **words))
    draw.fill_bars(pane, [3.0, -0.5], title="after", **words)
    wanted = render(draw.bars([3.0, -0.5], title="after", **words))
    for figure in (pane.object, wanted):
        assert figure.title.text == "after"
        assert figure.y_range.end == pytest.approx(3.24)
        assert figure.renderers[0].glyph.fill_color.transform.high == 3
    columns = [dict(figure.renderers[0].data_source.data) for figure in (pane.object, wanted)]
    assert {name: list(column) for name, column in columns[0].items()} == {
        name: list(c) for name, c in columns[1].items()
    }


def test_keys_move_choose_and_clear() -> None:
    pick = Selection()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "Enter"):
        move(pick, key, [0, 1, 2], [0, 1])
    assert pick.head == (1, 1)
    move(pick, "ArrowUp", [0, 1, 2], [0, 1])
    move(pick, "Enter", [0, 1, 2], [0, 1], add=True)
    assert pick.heads == [(1, 1), (0, 1)]
    move(pick, "Escape", [0, 1, 2], [0, 1])
    assert pick.head is None


def test_labels_cannot_start_mathematics() -> None:
    assert "$$" not in style.plain("$$x$$ \\(y\\)")
    assert style.plain("Ġa\nb") == "a b"


def test_columns_that_a_table_would_misread_get_safe_names() -> None:
    shown, titles = safe_columns(pd.DataFrame({"a.b": [1], "<b>x</b>": [2], "fine_one": [3]}))
    assert list(shown.columns) == ["column0", "column1", "fine_one"]
    assert titles["column1"] == "&lt;b&gt;x&lt;/b&gt;"


def test_still_parts_finds_what_can_be_kept_of_panel_objects() -> None:
    import holoviews as hv
    import panel as pn

    curve = hv.Curve([1, 2])
    column = pn.Column(
        pn.pane.HoloViews(curve),
        pn.widgets.FloatSlider(),
        pn.pane.HTML(HOSTILE),
        pn.Row(View(lambda: ["text"])),
    )
    parts = list(still_parts(column))
    assert parts[0] is curve
    assert not hasattr(parts[1], "__html__")  # a third party's markup is text for us
    assert len(list(still_parts(View(lambda: [Table(pd.DataFrame()), "x"])))) == 2


def test_a_live_view_gets_its_pictures_from_top_to_bottom() -> None:
    import holoviews as hv

    one, two = hv.Curve([1, 2]), hv.Curve([2, 1])
    seen: list[object] = []
    view = View(lambda: ["text", Row([one]), two], live=lambda shown: seen.extend(shown))
    assert pictures(view) == [one, two]
    view.__panel__()
    assert seen == [one, two]
