"""Which parts of a view stand together, and beside what."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from ui.runs.columns import in_columns

KINDS = {"w": "words", "p": "picture", "t": "table", "r": "wide"}


def laid_out(kinds: str) -> list[str]:
    """The blocks for parts of these kinds, as letters; upper case takes the whole width."""
    html = in_columns([(KINDS[kind], Markup(kind)) for kind in kinds])
    blocks = re.findall(r'<div class="wb-block( wb-whole)?">([a-z\n]*)</div>', html)
    return [(text.upper() if whole else text).replace("\n", "") for whole, text in blocks]


@pytest.mark.parametrize(
    ("parts", "blocks"),
    [
        ("wptwpt", ["wpt", "wpt"]),  # each picture with its words and its table
        ("wppp", ["W", "p", "p", "p"]),  # the words speak of all
        ("wwpptwp", ["WW", "p", "pt", "wp"]),
        ("wpwt", ["wp", "wt"]),  # one picture: what belongs to it stands beside it
        ("wp", ["wp"]),
        ("wtwt", ["WTWT"]),  # no picture: as wide as the page
        ("wrwpt", ["WR", "wpt"]),
        ("wrwt", ["WRWT"]),
        ("wtp", ["wtp"]),
        ("wpwwp", ["wp", "wwp"]),
    ],
)
def test_a_picture_stays_with_its_words_and_its_table(parts: str, blocks: list[str]) -> None:
    assert laid_out(parts) == blocks


@given(st.text(alphabet="wptr", min_size=1, max_size=12))
def test_nothing_is_lost_and_nothing_changes_its_order(parts: str) -> None:
    assert "".join(laid_out(parts)).lower() == parts
