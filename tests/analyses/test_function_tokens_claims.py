"""What function-tokens says of the claims: each verdict from numbers that settle it, leave it open, or speak against it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from analyses.function_tokens import claims


def with_tables(**tables: Any) -> Any:
    return SimpleNamespace(tables=tables)


@pytest.mark.parametrize(
    ("drawn", "verdict"), [(7, claims.OPEN), (200, claims.MIXED)], ids=["too few occurrences", "told apart at one place"]
)
def test_equal_occurrences(drawn, verdict):
    rows = [("L1", 30.0, 20.0, 5.0, 15.0, drawn), ("L2", 21.0, 20.0, -3.0, 5.0, drawn)]
    table = pd.DataFrame(rows, columns=["at", "function", "content", "low", "high", "drawn"])
    row = claims._equal(with_tables(classes=table, tokens=pd.DataFrame({"occurrences": [600, 80, 20]})))
    assert row[3] == verdict
    assert ("at least 20 are needed: read about 2,000 tokens" in row[4]) == (drawn < 20)


def prompts(far: float, near: float, classes: tuple[str, ...] = ("content", "content", "function", "content", "function")) -> Any:
    """Ten prompts of five tokens after the subject's last; `far` at the first function token, `near` at the content after it."""
    moved = {2: far, 3: near}
    rows = [
        ("L1", "question", fact, pos - len(classes), kind, moved.get(pos, 9.0) + 0.01 * fact)
        for fact in range(10)
        for pos, kind in enumerate(classes)
    ]
    return pd.DataFrame(rows, columns=["at", "wording", "fact", "pos", "class", "moved"])


@pytest.mark.parametrize(
    ("far", "near", "verdict"), [(2.0, 0.5, claims.HOLDS), (0.5, 2.0, claims.FAILS), (1.0, 1.0, claims.OPEN)]
)
def test_a_distant_function_token_against_a_nearer_content_token(far, near, verdict):
    table = prompts(far, near)
    if verdict == claims.OPEN:  # as often more as less
        table.loc[table["pos"] == -2, "moved"] += table.loc[table["pos"] == -2, "fact"].mod(2).mul(0.2).sub(0.1)
    row = claims._far_and_near(with_tables(along=table))
    assert row[3] == verdict
    assert f"{far + 0.045:+.2f} nats there" in row[2]
    assert "10 prompts" in row[4]


def test_without_a_content_token_after_a_function_token_nothing_is_told():
    row = claims._far_and_near(with_tables(along=prompts(1, 1, ("content", "function"))))
    assert row[3] == claims.OPEN
    assert claims._far_and_near(with_tables())[3] == claims.OPEN


def test_what_cannot_be_told_is_no_reason_to_say_that_it_holds():
    said = {
        (True, True): claims.HOLDS,
        (True, None): claims.MIXED,
        (True, False): claims.MIXED,
        (False, None): claims.FAILS,
        (None, None): claims.OPEN,
        (): claims.OPEN,
    }
    assert {verdicts: claims._judged(verdicts) for verdicts in said} == said


def steps(alive: list[int], shares: list[float], at: str = "blocks.3.hook_resid_post") -> Any:
    rows = [(10 * n, at, 100, one, share, 0.4) for n, (one, share) in enumerate(zip(alive, shares, strict=True))]
    return pd.DataFrame(rows, columns=["step", "at", "width", "alive", "function_edges", "mixed_edges"])


@pytest.mark.parametrize(
    ("alive", "shares", "grows", "most"),
    [
        ([20, 60, 90], [0.5, 0.6, 0.7], claims.HOLDS, claims.HOLDS),
        ([90, 60, 40], [0.4, 0.3, 0.2], claims.FAILS, claims.FAILS),
        ([90, 60, 80], [0.4, 0.2, 0.3], claims.MIXED, claims.MIXED),  # more and more, but random weights have as many
    ],
)
def test_features_along_a_training(alive, shares, grows, most):
    table = steps(alive, shares)
    assert claims._come_alive(with_tables(alive=table))[3] == grows
    row = claims._edges(with_tables(alive=table))
    assert row[3] == most
    assert f"{shares[-1]:.1%} at step 20" in row[2]


def test_one_step_alone_tells_nothing():
    for table in (steps([20], [0.5]), steps([20, 30], [0.5, 0.6]), None):
        tables = {} if table is None else {"alive": table}
        assert claims._come_alive(with_tables(**tables))[3] == claims.OPEN
        assert claims._edges(with_tables(**tables))[3] == claims.OPEN
