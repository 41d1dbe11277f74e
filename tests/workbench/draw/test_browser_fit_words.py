"""Titles, legends and axis labels are whole at every width, and a picture keeps its height."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.draw import style
from workbench.draw.figure import render

pytestmark = pytest.mark.browser

TITLE = "How far each of the numbers on this card lies from what chance alone would have given"
SERIES = ["told from chance", "may be chance", "others of its kind", "shuffled", "untrained twin"]

SEEN = """() => {
  const figure = Bokeh.documents[0].roots()[0];
  const pen = document.createElement("canvas").getContext("2d");
  const widest = (font, text) => {
    pen.font = font;
    return Math.max(...text.split("\\n").map((line) => pen.measureText(line).width));
  };
  const [title, legend, axis] = [figure.title, figure.above.concat(figure.center)
    .find((one) => one.type == "Legend"), figure.below[0]];
  return {
    room: figure.inner_width, inside: figure.inner_height, height: figure.height,
    title: title.text, wide: widest(`bold ${title.text_font_size} ${title.text_font}`, title.text),
    label: axis.axis_label,
    label_wide: widest(`${axis.axis_label_text_font_size} ${axis.axis_label_text_font}`,
                       axis.axis_label),
    columns: legend.ncols,
    legend: Bokeh.index.find_one(legend).bbox.width,
  };
}"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import holoviews as hv
    from bokeh.embed import file_html
    from bokeh.resources import INLINE

    style.load()
    parts = [hv.Curve([(0, n), (1, n + 1)], label=name) for n, name in enumerate(SERIES)]
    options = style.bokeh(
        width=None, height=300, title=TITLE, legend_position="top",
        xlabel="standard errors from what chance gives, at most eight, to the right or left",
    )  # fmt: skip
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(file_html(render(hv.Overlay(parts).opts(**options)), INLINE), encoding="utf-8")
    return file


@pytest.fixture
def page(browser: Any, saved: Path) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1200, "height": 700})
    opened.goto(saved.as_uri())
    opened.wait_for_function("Bokeh.documents[0]?.roots()[0]?.inner_width > 0")
    yield opened
    opened.close()


def at_width(page: Any, width: int) -> dict[str, Any]:
    """What the picture shows once nothing of it changes any more."""
    page.set_viewport_size({"width": width, "height": 700})
    before: dict[str, Any] = {}
    for _ in range(100):
        page.wait_for_timeout(100)
        seen: dict[str, Any] = page.evaluate(SEEN)
        if seen == before:
            return seen
        before = seen
    raise AssertionError("the picture does not come to rest")


def test_where_there_is_room_nothing_is_broken(page: Any) -> None:
    seen = at_width(page, 1200)
    assert "\n" not in seen["title"] + seen["label"]
    assert seen["columns"] == len(SERIES)
    assert seen["height"] == 300


def test_where_there_is_not_lines_and_rows_fit_and_the_picture_grows(page: Any) -> None:
    broad, narrow = at_width(page, 1200), at_width(page, 380)
    assert narrow["room"] < 380
    for text, wide in (("title", "wide"), ("label", "label_wide")):
        assert narrow[text].replace("\n", " ") == broad[text]
        assert narrow[text].count("\n") >= 1
        assert narrow[wide] <= narrow["room"]
    assert 1 <= narrow["columns"] < len(SERIES)
    assert narrow["legend"] <= narrow["room"] + 1
    assert narrow["inside"] == pytest.approx(broad["inside"], abs=20)


def test_it_is_undone_when_there_is_room_again(page: Any) -> None:
    broad = at_width(page, 1200)
    at_width(page, 380)
    assert at_width(page, 1200) == broad


def test_a_new_title_is_fitted_too(page: Any) -> None:
    at_width(page, 380)
    page.evaluate("(text) => { Bokeh.documents[0].roots()[0].title.text = text; }", TITLE.upper())
    seen = at_width(page, 380)
    assert seen["title"].replace("\n", " ") == TITLE.upper()
    assert seen["wide"] <= seen["room"]
