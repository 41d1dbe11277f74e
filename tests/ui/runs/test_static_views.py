"""Still views as HTML with items for the browser: escaped, numbered, and never the end of the
others.
"""

from __future__ import annotations

from typing import Any

import holoviews as hv
import pandas as pd
import pytest

from tests.helpers.synthetic import HOSTILE, synthetic_result
from ui.runs.static_views import MAX_ROWS, fragment, fragments, is_still, table_html
from workbench.draw import style
from workbench.draw.view import Row, Table, View


def test_every_view_of_a_run_with_places_for_its_pictures() -> None:
    made = dict(fragments(synthetic_result()))
    places = [item["target_id"] for one in made.values() for item in one.items]
    assert places == [
        f"picture-{i}-{n}" for i, one in enumerate(made.values()) for n in range(len(one.items))
    ]
    for one in made.values():
        for item in one.items:
            assert f'id="{item["target_id"]}"' in one.html
            assert item["doc"]["roots"][0]["id"] == item["root_id"]
    assert "wb-table" in made["Rates"].html
    assert "wb-table" not in dict(fragments(synthetic_result(), own_tables=False))["Rates"].html


def test_hostile_text_is_text() -> None:
    for _, one in fragments(synthetic_result(hostile=True)):
        assert "<script>window.pwned" not in one.html
        assert "<img src=x" not in one.html
    frame = pd.DataFrame({HOSTILE: [HOSTILE]})
    assert "<script" not in table_html(Table(frame, HOSTILE), fold=True)


def test_a_broken_view_is_a_sentence() -> None:
    one = fragment("<b>Bad</b>", View(lambda: [1 / 0]))
    assert "ZeroDivisionError" in one.html
    assert "<b>Bad" not in one.html
    assert not one.items


def test_a_long_table_says_that_it_is_cut() -> None:
    text = table_html(Table(pd.DataFrame({"n": range(MAX_ROWS + 1)})), fold=False)
    assert text.count("<tr>") == MAX_ROWS + 1
    assert f"The first {MAX_ROWS} of {MAX_ROWS + 1} rows" in text


@pytest.mark.parametrize(
    ("make", "still"),
    [
        (lambda: View(lambda: [Row([])]), True),
        (lambda: View(lambda: [], live=lambda pictures: None), False),
        (lambda: hv.Curve([1, 2]), True),
        (lambda: hv.Curve([1, 2]) * hv.Points([1, 2]), True),
        (lambda: hv.HoloMap({1: hv.Curve([1, 2])}), False),
        (lambda: hv.DynamicMap(lambda: hv.Curve([1, 2])), False),
        (lambda: "a panel object, or whatever Panel makes of this", False),
    ],
)
def test_only_what_needs_no_python_is_still(make: Any, still: bool) -> None:
    style.load()
    assert is_still(make()) is still
