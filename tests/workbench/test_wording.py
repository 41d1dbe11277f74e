"""Numbers in sentences agree with their nouns."""

from __future__ import annotations

import pytest

from workbench.wording import counted


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
