"""What is chosen in one view alone stands in the address: lists, pages and sorting of tables."""

from __future__ import annotations

from typing import Any

import pandas as pd
import panel as pn
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench import views as v
from workbench.address_text import as_text, read
from workbench.selection import Selection

WORDS = {"plain": object(), "12": object(), "all of them": object()}


@pytest.fixture
def run() -> Any:
    rows = pd.DataFrame({"id": range(40), "word": [f"w{n}" for n in range(40)]})
    return wb.Result("texts", tables={"rows": rows, "few": pd.DataFrame({"other": [1.5]})})


def _row(run: Any, pick: v.Pick) -> int:
    kept = pick.kept("row")
    return kept if kept in range(40) else 0


VIEW = v.View("My. view", first={"row": _row}, parts=[
    v.knob("how", "How", lambda run: WORDS),
    v.on(["how", "row"], lambda run, pick: f"{list(WORDS.values()).index(pick['how'])}"
         f" {pick['row']}"),
    v.table("rows", "Choose", picks="row", by="id"),
    v.table("rows", "Look"),
    v.knob("table", "Table", lambda run: list(run.tables)),
    v.on("table", lambda run, pick: v.Table(run.tables[pick["table"]], of=pick["table"])),
])  # fmt: skip


def page_of(run: Any) -> tuple[Any, Any, list[Any]]:
    """The words on the page, its list, and its tables."""
    page = VIEW.live(run)
    (words,) = (pane for pane in page.select(pn.pane.HTML) if "wb-says" in str(pane.object)
                and str(pane.object).split(">")[1][0].isdigit())  # fmt: skip
    return words, page.select(pn.widgets.Select), page.select(pn.widgets.Tabulator)


def again(run: Any) -> Any:
    """The same run, opened by a link to what is chosen in it."""
    other = wb.Result("texts", tables=run.tables)
    other.selection.from_query(run.selection.to_query())
    return other


def test_a_list_of_texts_is_told_by_the_text_and_not_by_its_words(run: Any) -> None:
    knob = v.knob("site", "Site", lambda run: {"out: after the layer": "out", "in: before": "in"})
    view = v.View("Norms", [knob])
    view.live(run).select(pn.widgets.Select)[0].value = "in"
    assert run.selection.in_views == {"Norms.site": "in"}
    assert view.pick(again(run))["site"] == "in"


def test_at_first_an_address_says_nothing_of_a_view(run: Any) -> None:
    page_of(run)
    assert run.selection.in_views == {}


def test_a_list_a_row_a_page_and_a_sorting_come_back_by_a_link(run: Any) -> None:
    _words, (how, table), (choose, look, _shown) = page_of(run)
    how.value = WORDS["12"]
    for call in choose._on_click_callbacks[None]:
        call(type("Click", (), {"row": 7, "column": "id"})())
    look.page = 3
    look.sorters = [{"field": "word", "dir": "desc"}]
    table.value = "few"
    assert run.selection.in_views == {
        "My. view.how": "12",
        "My. view.row": "7",
        "My. view.page-rows-2": "3",
        "My. view.sort-rows-2": "-word",
        "My. view.table": "few",
    }
    opened = again(run)
    assert VIEW.pick(opened).settle() == []
    words, (how, table), (choose, look, shown) = page_of(opened)
    assert "1 7" in words.object
    assert (how.value, table.value) == (WORDS["12"], "few")
    assert choose.selection == [7]
    assert (look.page, look.sorters) == (3, [{"field": "word", "dir": "desc"}])
    assert list(shown.value) == ["other"]


def test_going_back_takes_all_of_it_back(run: Any) -> None:
    words, (how, table), (choose, look, _shown) = page_of(run)
    before = run.selection.to_query()
    how.value = WORDS["all of them"]
    look.page = 2
    table.value = "few"
    VIEW.pick(run).choose("row", 3)
    after = run.selection.to_query()
    run.selection.restore(before)
    assert (how.value, look.page, table.value) == (WORDS["plain"], 1, "rows")
    assert choose.selection == [0]
    assert "0 0" in words.object
    run.selection.restore(after)
    assert (how.value, look.page, table.value) == (WORDS["all of them"], 2, "few")
    assert choose.selection == [3]
    assert "2 3" in words.object


def test_another_table_in_the_same_place_has_pages_of_its_own(run: Any) -> None:
    page = VIEW.live(run)
    _how, table = page.select(pn.widgets.Select)
    page.select(pn.widgets.Tabulator)[2].page = 4
    table.value = "few"
    assert page.select(pn.widgets.Tabulator)[2].page == 1
    table.value = "rows"
    assert page.select(pn.widgets.Tabulator)[2].page == 4


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("how", "<script>"),
        ("how", "13"),
        ("row", "99"),
        ("row", "[[[["),
        ("row", '{"a": 1}'),
        ("row", "7" * 900),
        ("nothing", "x"),
        ("__class__", "x"),
    ],
)
def test_what_a_run_does_not_have_is_forgotten(run: Any, name: str, text: str) -> None:
    key = f"My. view.{name}"
    run.selection.from_query({key: text, "My. view.table": "few"})
    assert VIEW.pick(run).settle() == [name]
    assert run.selection.in_views == {"My. view.table": "few"}
    assert "0 0" in page_of(run)[0].object


@pytest.mark.parametrize("page", ["0", "-1", "5", "x", "1e9", "9" * 900, "[1]", "true"])
def test_a_page_that_a_table_does_not_have_is_its_first(run: Any, page: str) -> None:
    run.selection.from_query({"My. view.page-rows-2": page, "My. view.sort-rows-2": "no,-,word"})
    look = page_of(run)[2][1]
    assert (look.page, look.sorters) == (1, [{"field": "word", "dir": "asc"}])


def test_a_picture_that_is_drawn_already_is_not_taken_for_another_choice(run: Any) -> None:
    from workbench.draw import view as drawing

    def points(run: Any, pick: v.Pick) -> v.Picture:
        frame = pd.DataFrame({"x": [0, pick["many"]], "y": [0, 1], "of": ["a", "a"]})
        return v.picture("curves", frame, "x", "y", "of", title="Curve", ylabel="")

    view = v.View("Curves", [
        v.knob("many", "Many", lambda run: {"two": 2, "nine": 9}), v.on("many", points),
    ])  # fmt: skip
    figures = drawing.pictures(drawing.View(lambda: view.still(run)))
    run.selection.in_views = {"Curves.many": "nine"}
    (pane,) = view.live(run, figures).select(pn.pane.Bokeh)
    assert any(list(r.data_source.data.get("x", [])) == [0, 9] for r in pane.object.renderers)


_PLAIN = st.text(max_size=30) | st.integers(-(10**9), 10**9) | st.booleans()


@given(st.recursive(_PLAIN, st.lists, max_leaves=8).map(
    lambda value: tuple(value) if isinstance(value, list) else value))  # fmt: skip
def test_a_value_comes_back_from_its_text(value: Any) -> None:
    if not isinstance(value, tuple) or not any(isinstance(one, list) for one in value):
        assert read(as_text(value)) == value
    assert isinstance(read(str(value)), object)


def test_a_link_holds_no_more_than_a_page_can_show() -> None:
    one = Selection()
    one.from_query({f"view.n{n}": "x" for n in range(5000)} | {"view.long": "x" * 5000, "a": "b"})
    assert 0 < len(one.in_views) <= 100
    one.in_views = {"view.long": "x" * 5000, ".": "x", "no": "x", "view.name": "ok"}
    assert one.to_query() == {"prompt": "0", "view.name": "ok"}
