"""Numbers in sentences: nouns agree with them, shares keep their size."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.wording import counted, formatted, percent, percent_span, quoted


@pytest.mark.parametrize(
    ("n", "noun", "text"),
    [
        (1, "passage", "1 passage"),
        (0, "passage", "0 passages"),
        (1230, "suffix", "1,230 suffixes"),
        (2, "context head", "2 context heads"),
        (2, "capital city", "2 capital cities"),
        (2, "day", "2 days"),
        (1, "batch", "1 batch"),
        (3, "batch", "3 batches"),
    ],
)
def test_nouns_agree_with_their_numbers(n: int, noun: str, text: str) -> None:
    assert counted(n, noun) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.39, "39 %"),
        (0.0163, "1.6 %"),
        (0.0012, "0.12 %"),
        (0.00001, "0.001 %"),
        (0.000001, "1e-4 %"),
        (0.9999, "99.9 %"),
        (0.0999, "10 %"),
        (-0.205, "−20 %"),
        (1.5, "150 %"),
        (math.nan, "–"),
    ],
)
def test_shares(share: float, text: str) -> None:
    assert percent(share) == text.replace(" ", "\u00a0")


@given(st.floats(1e-9, 1.0, exclude_max=True))
def test_a_share_is_near_what_is_said_and_never_none_or_all(share: float) -> None:
    said = float(percent(share).removesuffix("\u00a0%"))
    assert 0 < said < 100
    assert said == pytest.approx(100 * share, rel=0.06 if share > 1e-5 else 0.5)


def test_shares_in_sentences() -> None:
    assert percent(0.05, sign=True) == "+5.0\u00a0%"
    assert percent_span(0.73, 1.0) == "73–100\u00a0%"
    assert formatted("{a:%} of {b:.1f}, {}", "x", a=0.5, b=2) == "50\u00a0% of 2.0, x"


def test_tokens_in_sentences_show_their_spaces() -> None:
    assert quoted(" Paris") == "“ Paris”"
    assert quoted("\n") == "“↵”"
