"""Parts that come and go: what a run lacks takes no room, and what is chosen is marked and said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import panel as pn
import pytest
import xarray as xr

import workbench as wb
from workbench import draw
from workbench import views as v
from workbench.draw import view as drawing
from workbench.schema import ArraySchema, Column, Schema


@pytest.fixture
def run() -> Any:
    grid = xr.DataArray([[1.0, -2.0], [0.5, 3.0]], dims=("layer", "head"))
    return wb.Result("texts", arrays={"grid": grid})


def test_the_first_head_is_chosen_when_the_page_opens_and_no_other(run: Any) -> None:
    view = v.View("Heads", first={"head": lambda run, pick: (1, 1)}, parts=[])
    view.still(run)
    assert run.selection.head is None
    view.live(run)
    assert run.selection.head == (1, 1)
    run.selection.choose(0, 1)
    view.live(run)
    assert run.selection.head == (0, 1)


def test_what_a_run_lacks_takes_no_room_in_a_row(run: Any) -> None:
    keys = v.key_pad(lambda run: ([0], [0]), lambda run, pick, at: "", needs="nothing")
    lacking = v.column(v.show(lambda run: "never", needs="nothing"), keys)
    view = v.View("Row", [v.row(lacking, v.says("There."), widths=(0, 300))])
    (row,) = view.live(run).objects
    assert len(row.objects) == 1
    assert [str(part) for part in view.still(run)] == ['<p class="wb-says">There.</p>']


def test_a_picture_in_a_row_is_not_cut_off_by_what_stands_beside_it(run: Any) -> None:
    grid = v.show(lambda run: v.picture("head_grid", run.arrays["grid"], title="Grid", unit=""))
    view = v.View("Row", [v.row(v.column(grid), v.says("Beside."), widths=(0, 300))])
    (row,) = view.live(run).objects
    (pane,) = row.select(pn.pane.Bokeh)
    assert f"min({pane.object.width}px" in "".join(row.objects[0].stylesheets)


def test_a_row_of_lists_is_nothing_on_a_still_page(run: Any) -> None:
    knob = v.knob("how", "How", lambda run: {"a": 1})
    assert v.View("Row", [v.row(knob, knob)]).still(run) == []


def test_a_list_that_offers_nothing_is_not_seen_until_it_does(run: Any) -> None:
    view = v.View("Lists", [
        v.knob("of", "Of", lambda run: {"all": 0, "one": 1}),
        v.knob("layer", "Layer", lambda run, pick: {"2": 2} if pick["of"] else {}, keys="of"),
    ])  # fmt: skip
    of, layer = view.live(run).select(pn.widgets.Select)
    assert not layer.visible
    of.value = 1
    assert layer.visible
    assert layer.options == {"2": 2}


def test_a_table_that_follows_says_of_what_it_is(run: Any) -> None:
    def table(run: Any, pick: v.Pick) -> v.Table:
        frame = pd.DataFrame({"token": ["a\nb" if pick.pos else "a", None]})
        return v.Table(frame, f"Token {pick.pos}")

    page = v.View("Table", [v.on("pos", table)], first={"pos": _pos}).live(run)
    (rows,) = page.select(pn.widgets.Tabulator)
    run.selection.pos = 3
    assert any("Token 3" in pane.object for pane in page.select(pn.pane.HTML))
    assert list(rows.value["token"]) == ["a ↵ b", ""]  # as text, as it is drawn at first


def _pos(run: Any, pick: v.Pick) -> int:
    return run.selection.pos or 0


def test_curves_follow_with_their_axis(run: Any) -> None:
    def curve(run: Any, pick: v.Pick) -> v.Picture:
        top = 10.0 ** (1 + pick.pos)
        frame = pd.DataFrame({"x": [0, 1], "y": [0.0, top]})
        return v.picture(
            "lines", frame=frame, x="x", series={"y": ("y", "#000000")}, ylim=(0.0, top),
            title=f"Token {pick.pos}", xlabel="x", ylabel="y",
        )  # fmt: skip

    view = v.View("Curve", [v.on("pos", curve)], first={"pos": _pos})
    page = view.live(run, drawing.pictures(drawing.View(lambda: view.still(run))))
    (pane,) = page.select(pn.pane.Bokeh)
    assert pane.object.y_range.end == 10.0
    run.selection.pos = 2
    assert pane.object.y_range.end == 1000.0


def test_arrays_of_one_kind_share_a_line_of_the_schema(run: Any) -> None:
    said = Schema(arrays=[ArraySchema("site-*", "A site."), ArraySchema("grid", "", ("layer",))])
    run.arrays["site-q"] = run.arrays["grid"]
    (problem,) = said.problems(run)
    assert "'grid'" in problem


def test_a_heading_does_not_say_its_unit_twice() -> None:
    assert Column("loss", "The loss.", "nats").heading == "loss (nats)"
    assert Column("logits", "What is written.", "logits").heading == "logits"


def test_lens_and_magnitudes_are_told_around_the_chosen_token() -> None:
    rows = [(0, 0, 2, "b", 0.1), (0, 0, 1, "<a>", 0.7), (1, 1, 1, "c", 0.4)]
    names = ["layer", "pos", "rank", "token", "probability"]
    html = draw.lens_table(pd.DataFrame(rows, columns=names), ["x", "y"], (0, 0), caption="Lens")
    assert "1. “&lt;a&gt;” 70\u00a0%\n2. “b” 10\u00a0%" in html
    assert html.count("<td>–</td>") == 2
    assert 'data-at="0,0" class="wb-here"' in html

    values = xr.DataArray(np.array([[1.0, 100.0], [10.0, np.nan]]), dims=("layer", "pos"))
    values = values.assign_coords(layer=[3, 7])
    html = draw.magnitude_table(values, ["x", "<y>"], (None, 1), caption="Norms")
    assert "layer 3, token 1 “&lt;y&gt;”\n100.0000" in html
    assert html.count("<td>–</td>") == 1
    shade = draw.colour.shade
    assert f"background:{shade(0.5)}" in html  # ten is halfway from one to a hundred


def test_curves_of_any_words_can_be_drawn() -> None:
    frame = pd.DataFrame({"x": [0, 1], "y": [1.0, 2.0]})
    words = {"y": ("“\x12\ue000 $$x$$\n”", "#000000")}
    drawn = draw.lines(frame, "x", words, title="Any", xlabel="x", ylabel="y")
    assert "“�� $\u200b$\u200bx" in next(element.label for element in drawn)


def test_a_list_offers_words_that_are_the_values(run: Any) -> None:
    view = v.View("List", [v.knob("how", "How", lambda run: ["plain", "square"])])
    assert view.pick(run)["how"] == "plain"
    (how,) = view.live(run).select(pn.widgets.Select)
    assert how.options == {"plain": "plain", "square": "square"}


def test_a_chart_asks_the_run_for_what_is_a_function(run: Any) -> None:
    run.tables["curve"] = pd.DataFrame({"step": [1, 2], "loss": [3.0, 1.0], "of": ["a", "a"]})
    chart = v.chart(
        "lines", "curve", "step", {"loss": ("loss", "#000000")}, per="of", ylabel="nats",
        ylim=lambda run: (0.0, float(run.tables["curve"]["loss"].max())),
    )  # fmt: skip
    (drawn,) = v.View("Curve", [chart]).still(run)
    bokeh, title = drawn.opts.get("plot").kwargs["ylim"], drawn.opts.get("plot").kwargs["title"]
    assert (bokeh, title) == ((0.0, 3.0), "a")
    assert drawn.opts.get("plot").kwargs["xlabel"] == "step"
    del run.tables["curve"]
    assert v.View("Curve", [chart]).still(run) == []


def test_a_table_has_a_caption_unless_it_is_given_one(run: Any) -> None:
    run.tables["rates"] = pd.DataFrame({"rate": [1.0]})
    (table,) = v.View("Table", [v.table("rates")]).still(run)
    assert table.caption == v.DATA
    assert [one.caption for one in v.View("Table", [v.table("rates", "Rates")]).still(run)] == [
        "Rates"
    ]


def test_the_chosen_head_stands_beside_the_grids_and_is_said_by_a_format(run: Any) -> None:
    run.tables["heads"] = pd.DataFrame({"layer": [0, 0], "head": [0, 1], "norm": [1.5, -2.0]})
    scale = v.Scale("Norm", "nats", "low", "high")
    heads = v.heads("heads", {"norm": scale}, describe="{norm:+.1f} nats", beside=[v.says("One.")])
    view = v.View("Heads", [heads], first={"head": lambda run, pick: (0, 0)})
    (row,) = view.live(run).objects
    assert len(row.objects) == 2
    run.selection.hover = (0, 1)
    said = [str(pane.object) for pane in row.select() if type(pane).__name__ == "HTML"]
    assert any("L0H1: -2.0 nats" in text for text in said)
    assert any("One." in text for text in said)


def test_bars_write_their_numbers_as_told_and_can_start_from_the_first() -> None:
    frame = pd.DataFrame({"what": ["none", "some"], "share": [0.5, 0.25]})
    drawn = draw.labelled_bars(frame, "what", "share", title="Share", said="{:.0%}")
    kinds = [type(element).__name__ for element in drawn]
    assert list(drawn.Labels.I.data["text"]) == ["50%", "25%"]
    assert "Segments" not in kinds
    from_first = draw.labelled_bars(frame, "what", "share", title="Share", from_first=True)
    assert list(from_first.Segments.I.data["x0"]) == [0.5]


def test_a_level_may_stand_in_a_column() -> None:
    frame = pd.DataFrame({"n": [1, 10], "rate": [0.1, 0.3], "of": ["p"] * 2, "greedy": [0.2, 0.2]})
    drawn = draw.curves(frame, "n", "rate", "of", title="Rate", ylabel="share",
                        level={"greedy": "greedy", "chance": 0.5})  # fmt: skip
    heights = {element.label: set(element.dimension_values("y")) for element in drawn.Curve}
    assert heights["greedy"] == {0.2}
    assert heights["chance"] == {0.5}


def test_grids_by_title_and_a_note_where_only_a_window_is_shown(run: Any) -> None:
    row = draw.titled_grids({"One": run.arrays["grid"]}, "nats", "low", "high", one_scale=True)
    (grid,) = row.parts
    assert (grid.options["title"], grid.options["top"]) == ("One", 3.0)
    assert draw.window_note(24) == ""
    assert "24 of 25" in draw.window_note(25)
