"""What function-tokens says of the claims: each verdict from numbers that settle it, leave it
open, or speak against it.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from analyses.claims import FAILS, OPEN, PART, REPLICATES, verdict_of
from analyses.features.function_tokens import claims, coverage_claims, training_claims
from workbench.wording import percent


def with_tables(**tables: Any) -> Any:
    return SimpleNamespace(tables=tables)


@pytest.mark.parametrize(
    ("drawn", "verdict"),
    [(7, OPEN), (200, PART)],
    ids=["too few occurrences", "told apart at one place"],
)
def test_equal_occurrences(drawn, verdict):
    rows = [("L1", 30.0, 20.0, 5.0, 15.0, drawn), ("L2", 21.0, 20.0, -3.0, 5.0, drawn)]
    table = pd.DataFrame(
        rows,
        columns=[
            "sae",
            "function_degree",
            "content_degree",
            "difference_low",
            "difference_high",
            "n_occurrences",
        ],
    )
    row = coverage_claims._equal(
        with_tables(degree_by_class=table, tokens=pd.DataFrame({"occurrences": [600, 80, 20]}))
    )
    assert row.verdict == verdict
    assert ("at least 20 are needed: read about 2,000 tokens" in row.uncertainty) == (drawn < 20)


def prompts(
    far: float,
    near: float,
    classes: tuple[str, ...] = ("content", "content", "function", "content", "function"),
) -> Any:
    """Ten prompts of five tokens after the subject's last.

    `far` at the first function token, `near` at the content after it.
    """
    moved = {2: far, 3: near}
    rows = [
        ("L1", "question", fact, pos - len(classes), kind, moved.get(pos, 9.0) + 0.01 * fact)
        for fact in range(10)
        for pos, kind in enumerate(classes)
    ]
    return pd.DataFrame(
        rows, columns=["sae", "wording", "fact", "pos", "class", "logit_diff_change"]
    )


@pytest.mark.parametrize(
    ("far", "near", "verdict"),
    [(2.0, 0.5, REPLICATES), (0.5, 2.0, FAILS), (1.0, 1.0, OPEN)],
)
def test_a_distant_function_token_against_a_nearer_content_token(far, near, verdict):
    table = prompts(far, near)
    if verdict == OPEN:  # as often more as less
        table.loc[table["pos"] == -2, "logit_diff_change"] += (
            table.loc[table["pos"] == -2, "fact"].mod(2).mul(0.2).sub(0.1)
        )
    row = claims._far_and_near(with_tables(steering_by_position=table))
    assert row.verdict == verdict
    assert f"{far + 0.045:+.2f} nats at the function token" in row.measured
    assert "10 prompts" in row.uncertainty


def test_without_a_content_token_after_a_function_token_nothing_is_told():
    row = claims._far_and_near(
        with_tables(steering_by_position=prompts(1, 1, ("content", "function")))
    )
    assert row.verdict == OPEN
    assert claims._far_and_near(with_tables()).verdict == OPEN


def test_what_cannot_be_told_is_no_reason_to_say_that_it_holds():
    said = {
        (True, True): REPLICATES,
        (True, None): PART,
        (True, False): PART,
        (False, None): FAILS,
        (None, None): OPEN,
        (): OPEN,
    }
    assert {verdicts: verdict_of(verdicts) for verdicts in said} == said


def steps(alive: list[int], shares: list[float], at: str = "blocks.3.hook_resid_post") -> Any:
    rows = [
        (10 * n, at, 100, one, share, 0.4)
        for n, (one, share) in enumerate(zip(alive, shares, strict=True))
    ]
    return pd.DataFrame(
        rows,
        columns=["step", "sae", "d_sae", "n_alive", "function_edge_share", "shuffled_edge_share"],
    )


@pytest.mark.parametrize(
    ("alive", "shares", "grows", "most"),
    [
        ([20, 60, 90], [0.5, 0.6, 0.85], REPLICATES, REPLICATES),
        (
            [20, 60, 62],
            [0.5, 0.6, 0.62],
            PART,
            OPEN,
        ),  # a few features more are no more than chance
        ([90, 60, 40], [0.4, 0.3, 0.2], FAILS, FAILS),
        (
            [90, 60, 80],
            [0.4, 0.1, 0.3],
            PART,
            PART,
        ),  # more and more, but random weights have as many
    ],
)
def test_features_along_a_training(alive, shares, grows, most):
    table = steps(alive, shares)
    assert training_claims._come_alive(with_tables(live_features=table)).verdict == grows
    row = training_claims._edges(with_tables(live_features=table))
    assert row.verdict == most
    assert f"{percent(shares[-1])} at step 20" in row.measured


def test_one_step_alone_tells_nothing():
    for table in (steps([20], [0.5]), steps([20, 30], [0.5, 0.6]), None):
        tables = {} if table is None else {"live_features": table}
        assert training_claims._come_alive(with_tables(**tables)).verdict == OPEN
        assert training_claims._edges(with_tables(**tables)).verdict == OPEN


def reached(first: list[float], content: list[float], width: int) -> Any:
    """Coverage by ten tokens and by as much content, at places of so many features."""
    at = [f"L{n}" for n in range(len(first))]
    frame = pd.DataFrame({"sae": at, "n_types": 10, "coverage": first, "content": content})
    found = with_tables(coverage=frame, autoencoders=pd.DataFrame({"sae": at, "d_sae": width}))
    found.findings = {"function_tokens": SimpleNamespace(values={"n_types": 10})}
    return found


@pytest.mark.parametrize(
    ("middle", "width", "verdict"),
    [
        (0.6, 4096, REPLICATES),
        (0.4, 4096, FAILS),
        (0.55, 40, OPEN),
        (0.45, 40, OPEN),
    ],
)
def test_most_features_of_the_middle_layer_beyond_chance(middle, width, verdict):
    assert coverage_claims._reach(reached([0.9, middle, 0.9], [0.1] * 3, width)).verdict == verdict


@pytest.mark.parametrize(
    ("ours", "theirs", "width", "verdict"),
    [
        (0.6, 0.5, 4096, REPLICATES),
        (0.5, 0.6, 4096, FAILS),
        (0.51, 0.5, 400, OPEN),
        (0.99, 0.985, 4096, OPEN),  # nearly all, both
    ],
)
def test_reaching_more_is_judged_over_features(ours, theirs, width, verdict):
    assert coverage_claims._same_number(reached([ours], [theirs], width)).verdict == verdict


def steered(last: list[float], random: list[float]) -> Any:
    rows = [
        ("L1", wording, fact, condition, moved)
        for wording in (claims.SENTENCE, claims.QUESTION)
        for condition, values in (("last", last), ("random", random))
        for fact, moved in enumerate(values)
    ]
    table = pd.DataFrame(rows, columns=["sae", "wording", "fact", "condition", "logit_diff_change"])
    means = table.groupby(["sae", "wording", "condition"], as_index=False)[
        "logit_diff_change"
    ].mean()
    return with_tables(steerings=table, steering_means=means.assign(flipped=0.5))


@pytest.mark.parametrize(
    ("last", "random", "verdict"),
    [
        ([5.0, 6.0, 5.5, 6.5], [0.1, -0.1, 0.2, 0.0], REPLICATES),
        ([0.1, 0.2, 0.1, 0.2], [3.0, 3.1, 2.9, 3.2], FAILS),  # random features do more
        ([0.1, -0.2, 0.2, -0.1], [0.1, -0.1, 0.2, 0.0], OPEN),
    ],
)
def test_steering_is_compared_with_random_features_fact_by_fact(last, random, verdict):
    assert claims._steered(steered(last, random)).verdict == verdict


@pytest.mark.parametrize(
    ("losses", "error", "verdict"),
    [
        ((1.7, 5.0, 1.9, 4.4), 0.03, REPLICATES),
        ((1.7, 4.4, 1.9, 5.0), 0.03, FAILS),
        ((1.7, 5.0, 1.9, 4.9), 0.2, OPEN),
    ],
)
def test_the_highest_loss_is_told_apart_from_the_next(losses, error, verdict):
    table = pd.DataFrame(
        {
            "predictor": "model",
            "transition": claims.GROUPS,
            "loss": losses,
            "standard_error": error,
        }
    )
    assert claims._highest(with_tables(transitions=table)).verdict == verdict


@pytest.mark.parametrize(
    ("middle", "error", "verdict"),
    [
        ((4.0, 8.0, 4.0, 8.0), 0.05, REPLICATES),
        ((8.0, 4.0, 8.0, 4.0), 0.05, FAILS),
        ((5.0, 5.2, 5.0, 5.2), 0.5, OPEN),
    ],
)
def test_who_falls_first_is_judged_by_the_errors_of_the_losses(middle, error, verdict):
    rows = [
        (step, group, loss)
        for step, losses in ((0, (9.0,) * 4), (10, middle), (20, (2.0,) * 4))
        for group, loss in zip(claims.GROUPS, losses, strict=True)
    ]
    found = with_tables(
        training_losses=pd.DataFrame(rows, columns=["step", "transition", "loss"]).assign(
            predictor="model", standard_error=error
        )
    )
    half = {f"half_step_{group.replace('→', 'to')}": 10.0 for group in claims.GROUPS}
    found.findings = {"training": SimpleNamespace(values=half)}
    assert training_claims._first_learned(found).verdict == verdict
