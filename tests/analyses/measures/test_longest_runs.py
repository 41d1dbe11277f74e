"""The longest runs: of tokens that are right, and of what can be copied from before."""

from __future__ import annotations

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analyses.measures.pattern_controls import copied_run
from analyses.measures.scoring import longest_runs


@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.integers(1, 30), st.integers(1, 30))
def test_whatever_repeats_often_enough_is_copied(
    period: list[int], prefix: int, suffix: int
) -> None:
    ids = (period * 60)[: 16 + 2 * len(period) + prefix + suffix]
    assert copied_run(ids[:-suffix], ids[-suffix:]) == suffix


def test_copying_needs_something_to_copy() -> None:
    assert copied_run(list(range(20)), list(range(20, 40))) == 0
    assert copied_run([1, 2, 3, 9, 1, 2], [3, 9, 5]) == 2
    assert copied_run([1, 2, 1, 3, 1], [3, 2]) == 1  # the last place counts


@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=5))
def test_longest_runs(rows: list[list[bool]]) -> None:
    starts, lengths = longest_runs(np.array(rows))
    for row, start, length in zip(rows, starts, lengths, strict=True):
        runs = [
            (len(m.group()), m.start()) for m in re.finditer("1+", "".join("01"[r] for r in row))
        ]
        best = max((n for n, _ in runs), default=0)
        assert length == best
        assert start == next((at for n, at in runs if n == best), 0)
