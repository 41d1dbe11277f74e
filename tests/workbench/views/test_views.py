"""One declaration, two forms: what is still, what is linked, and what is said if it is missing."""

from __future__ import annotations

import pandas as pd
import panel as pn
import pytest
import xarray as xr

import workbench as wb
from workbench import views as v
from workbench.draw import view as drawing
from workbench.schema import ArraySchema, Column, FindingSchema, Schema, TableSchema

SCHEMA = Schema(
    tables=[
        TableSchema(
            "rows",
            "One row per text.",
            [Column("prompt", "Number."), Column("loss", "Mean loss.", unit="nats")],
        )
    ],
    arrays=[ArraySchema("grid", "What is drawn.", ("layer", "head"))],
    findings=[FindingSchema("best", "The best"), FindingSchema("at_*", "By layer")],
)


@pytest.fixture
def run():
    rows = pd.DataFrame({"prompt": [3, 1, 2], "loss": [0.5, 2.5, 1.5]})
    grid = xr.DataArray([[1.0, -2.0], [0.5, 3.0]], dims=("layer", "head"))
    result = wb.Result("texts", tables={"rows": rows}, arrays={"grid": grid})
    result.add(wb.Finding("best", 0.5, "Text 3 is best."))
    result.add(wb.Finding("at_0", 1.0, "In layer 0 <b>one</b>."))
    return result


def chosen(run, pick):
    return pick.selection.prompt or 3


def bars(run, pick):
    loss = run.tables["rows"].set_index("prompt")["loss"][pick.prompt]
    title = f"Text {pick.prompt} ({pick['how']})"
    return v.picture("bars", values=[loss, 1.0], names=["a", "b"], title=title, unit="nats")


VIEW = v.View(
    "Texts",
    needs="rows",
    first={"prompt": chosen},
    parts=[
        v.finding("best", "at_*"),
        v.knob("how", "How", lambda run: {"plain": "plainly", "square": "squared"}),
        v.on(["prompt", "how"], bars),
        v.on("prompt", lambda run, pick: f"Text number {pick.prompt}", examples=lambda run: [
            {"prompt": 1}, {"prompt": 2},
        ]),
        v.table("rows", "All texts", order=["-loss"], picks="prompt", by="prompt"),
        v.show(lambda run: "never", needs="nothing"),
    ],
)  # fmt: skip


def texts(page):
    return [pane.object for pane in page.select(pn.pane.HTML)]


def test_the_still_form_has_everything_once_and_the_examples(run):
    parts = VIEW.still(run, SCHEMA)
    words = [str(part) for part in parts if isinstance(part, str)]
    assert any("Text 3 is best." in word for word in words)
    assert any("&lt;b&gt;one" in word for word in words)
    assert words[-2:] == ["Text number 1", "Text number 2"]
    (table,) = (part for part in parts if isinstance(part, drawing.Table))
    assert list(table.frame["prompt"]) == [1, 2, 3]
    assert table.headings["loss"] == ("loss (nats)", "Mean loss.")
    assert len(drawing.pictures(drawing.View(lambda: parts))) == 1


def test_a_row_moves_the_text_and_the_picture_and_back(run):
    page = VIEW.live(run, schema=SCHEMA)
    (table,) = page.select(pn.widgets.Tabulator)
    (picture,) = page.select(pn.pane.Bokeh)
    assert table.selection == [2]  # text 3, before anything is chosen
    assert picture.object.title.text == "Text 3 (plainly)"
    run.selection.prompt = 1
    assert table.selection == [0]
    assert picture.object.title.text == "Text 1 (plainly)"
    assert any("Text number 1" in text for text in texts(page))
    page.select(pn.widgets.Select)[0].value = "squared"
    assert picture.object.title.text == "Text 1 (squared)"


def test_a_click_on_a_row_chooses_and_forgets_the_token(run):
    page = VIEW.live(run, schema=SCHEMA)
    (table,) = page.select(pn.widgets.Tabulator)
    run.selection.pos = 7
    for call in table._on_click_callbacks[None]:
        call(type("Click", (), {"row": 1, "column": "loss"})())
    assert run.selection.prompt == 2
    assert run.selection.pos is None


def test_pictures_that_are_drawn_already_are_taken_in_order_and_filled(run):
    two = v.View("Two", first={"prompt": chosen}, parts=[
        v.knob("how", "How", lambda run: {"plain": "plainly"}),
        v.on("prompt", bars, examples=lambda run: [{"prompt": 1}, {"prompt": 2}]),
        v.on("prompt", lambda run, pick: v.picture(
            "bars", values=[1.0], names=["last"], title=f"Last, text {pick.prompt}", unit="nats")),
    ])  # fmt: skip
    figures = drawing.pictures(drawing.View(lambda: two.still(run)))
    assert len(figures) == 3
    page = two.live(run, figures)
    titles = [pane.object.title.text for pane in page.select(pn.pane.Bokeh)]
    assert titles == ["Text 3 (plainly)", "Last, text 3"]


def test_what_is_missing_is_left_out_with_its_reason_or_said(run):
    asked = v.View("Other", needs="others", otherwise="no other model was given", parts=[])
    stopped = v.View("Other", needs=["rows", "others"], parts=[v.says("never")])
    assert asked.unavailable_reason(run) == "no other model was given"
    assert stopped.unavailable_reason(run) == ""
    assert "not measured" in str(stopped.still(run)[0])
    views = v.bound([asked, stopped.__class__("Third", [v.says("There.")])], run)
    assert views["Other"].why_not
    assert views["Third"].live is None  # nothing in it waits for Python


def test_heads_share_a_scale_and_are_chosen_by_grid_and_keys(run):
    rows = [(i, j, float(v_)) for (i, j), v_ in _cells(run.arrays["grid"])]
    run.tables["heads"] = pd.DataFrame(rows, columns=["layer", "head", "effect"])
    part = v.heads(
        "heads",
        {"effect": v.Scale("Effect", "nats", "lowers", "raises")},
        marks=lambda run: {(1, 1): "memory"},
        describe="{effect:+.1f} nats",
        one_scale=True,
    )
    page = v.View("Heads", [part]).live(run)
    (pane,) = page.select(pn.pane.Bokeh)
    assert pane.object.below[-1].color_mapper.high == pytest.approx(3.0)
    run.selection.hover = (0, 1)
    assert any("L0H1: -2.0 nats" in text for text in texts(page))
    run.selection.hover = (7, 7)
    assert any("L7H7: not measured" in text for text in texts(page))
    run.selection.choose(1, 1)
    assert len(page.select(pn.pane.Bokeh)) == 1


def _cells(array):
    return [((i, j), array.values[i, j]) for i in range(2) for j in range(2)]


def test_a_result_that_is_not_as_its_schema_says_is_told(run):
    assert list(SCHEMA.problems(run)) == []
    run.tables["rows"]["more"] = 1
    run.tables["extra"] = pd.DataFrame({"a": [1]})
    run.arrays["grid"] = run.arrays["grid"].T
    run.add(wb.Finding("worst", 2.5, "Text 1 is worst."))
    problems = list(SCHEMA.problems(run))
    assert len(problems) == 4
    assert any("'more'" in p for p in problems)
    assert any("('head', 'layer')" in p for p in problems)
    del run.tables["rows"]["loss"]
    assert any("has no column 'loss'" in p for p in SCHEMA.problems(run))
