"""The verdicts of `paragraph-memorization` on tables whose truth is known, without a model."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from scipy.stats import ttest_ind

from analyses.claims import FAILS, OPEN, PART, REPLICATES, say_claims
from analyses.weights.paragraph_memorization import claims
from analyses.weights.paragraph_memorization.constants import MEMORIZED, NOT
from analyses.weights.paragraph_memorization.random_controls import add_random_controls
from workbench import registry
from workbench.result import Finding, Result


def judged(**tables: Any) -> Result:
    """A run of which nothing but these tables is there; eight passages, each of a document of
    its own.
    """
    groups_ = [MEMORIZED] * 4 + [NOT] * 4
    passages = pd.DataFrame({"passage": range(8), "document": range(8), "group": groups_})
    return Result("paragraph-memorization", tables={"passages": passages, **tables})


def updates(
    aim: str, mask: str, left: list[float], same: list[float] | None = None, **more: Any
) -> pd.DataFrame:
    """Rows of `weight_edits`, one for each of so many passages of 50 tokens."""
    row = {
        "aim": aim,
        "mask": mask,
        "prefix_match_before": 50,
        "others_retained": 1.0,
        "learning_rate": 0.01,
        "steps": 20,
        "rewrite_match": 0,
    } | more
    table = pd.DataFrame(
        {
            "passage": range(len(left)),
            "prefix_match": left,
            "prefix_match_same_steps": same or left,
            "succeeded": False,
        }
    )
    return table.assign(**row)


def test_the_answer_has_its_control_from_both_tables() -> None:
    result = judged()
    add_random_controls(result)
    assert "random_controls" not in result.findings
    heads = {"before": 20.0, "after": 3.0, "random_median": 19.0, "random_lowest": 12.0}
    sets = ["no intervention", "selected heads", *["random heads"] * 4]
    result.tables["held_out_eval"] = pd.DataFrame({"condition": sets})
    result.add(Finding("heads", heads, "Off."))
    add_random_controls(result)
    assert result.findings["random_controls"].values == {
        "heads_before": 20.0,
        "heads": 19.0,
        "heads_lowest": 12.0,
    }
    assert (
        "19.0 of 20.0 leading tokens (median of 4 sets" in result.findings["random_controls"].says
    )
    left, spans = {"before": 32.0, "random": 30.0}, {"random": (28.0, 31.0)}
    result.add(Finding("unlearned", left, "Gone.", interval=spans))
    add_random_controls(result)
    control = result.findings["random_controls"]
    assert control.values["weights"] == 30.0
    assert control.interval == {"weights": (28.0, 31.0)}
    assert "30.0 of 32.0 (95 % over passages: 28.0 to 31.0)" in control.says
    schema = registry.get("paragraph-memorization").schema
    assert list(schema.problems(Result(result.analysis, findings=result.findings))) == []


def test_a_run_that_measured_nothing_tells_nothing() -> None:
    result = judged()
    say_claims(result, claims.CLAIMS, claims.PAPER)
    assert result.findings["claims"].values == {
        "replicates": 0,
        "in_part": 0,
        "does_not_replicate": 0,
        "cannot_be_told": 7,
    }


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        ([3, 4, 5, 4], [30, 31, 33, 29], REPLICATES),
        ([30, 31, 33, 29], [3, 4, 5, 4], FAILS),
        (
            [3, 30, 5, 4],
            [30, 1, 33, 29],
            OPEN,
        ),  # the means are apart and the interval covers both sides
    ],
)
def test_triggers_are_judged_by_the_interval_of_the_difference(ours, theirs, verdict) -> None:
    table = pd.DataFrame(
        {"passage": range(8), "prefix_match_change": [-x for x in [*ours, *theirs]]}
    )
    row = claims._triggers(judged(perturbed=table))
    assert row.verdict == verdict
    welch = ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    assert f"(95 %: {welch.low:+.1f} to {welch.high:+.1f})" in row.uncertainty


def test_passages_of_one_document_are_no_four_passages() -> None:
    result = judged(
        perturbed=pd.DataFrame(
            {"passage": range(8), "prefix_match_change": [-3, -4, -5, -4, -30, -31, -33, -29]}
        )
    )
    result.tables["passages"]["document"] = [0, 0, 0, 0, 1, 1, 1, 1]
    assert claims._triggers(result).verdict == OPEN


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [([0.1, 0.2, 0.1, 0.2], REPLICATES), ([9, 7, 8, 6], FAILS), ([0.1, 9, 3, 2], OPEN)],
)
def test_sums_of_gradients_are_compared_as_ratios(ours, verdict) -> None:
    table = judged().tables["passages"].assign(sum_max=[*ours, 1.0, 2.0, 1.5, 0.9])
    assert claims._larger(judged(passage_gradients=table)).verdict == verdict
    assert claims._larger(judged(passage_gradients=table.drop(columns="sum_max"))).verdict == OPEN


def test_both_sizes_of_a_gradient_have_to_agree() -> None:
    base = judged().tables["passages"]
    up, flat = (
        [0.71, 0.72, 0.70, 0.71, 0.50, 0.51, 0.50, 0.52],
        [0.5, 0.6, 0.7, 0.6, 0.5, 0.7, 0.6, 0.6],
    )
    assert (
        claims._lower(
            judged(passage_gradients=base.assign(lower_share_max=up, lower_share_rms=up))
        ).verdict
        == REPLICATES
    )
    assert (
        claims._lower(
            judged(passage_gradients=base.assign(lower_share_max=up, lower_share_rms=flat))
        ).verdict
        == OPEN
    )
    assert (
        claims._lower(
            judged(
                passage_gradients=base.assign(lower_share_max=up[::-1], lower_share_rms=up[::-1])
            )
        ).verdict
        == FAILS
    )


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [
        ([(-0.4, -0.1), (-0.5, -0.2)], REPLICATES),
        ([(-0.4, -0.1), (-0.5, 0.2)], PART),
        ([(0.1, 0.4), (-0.5, 0.2)], FAILS),
        ([(-0.1, 0.4), (-0.5, 0.2)], OPEN),  # this was said not to come out
    ],
)
def test_heads_that_look_at_rare_tokens_are_judged_one_by_one(bounds, verdict) -> None:
    lows, highs = zip(*bounds, strict=True)
    heads_ = pd.DataFrame({"label": ["L0H0", "L0H1"], "role": "memorization", "rarity_within": 0.0})
    result = judged(heads=heads_.assign(rarity_within_low=lows, rarity_within_high=highs))
    result.add(Finding("rarity", {"lowest_pooled": -0.9, "chance_pooled": -0.6}, ""))
    assert claims._rare(result).verdict == verdict


@pytest.mark.parametrize(
    ("left", "kept", "verdict"),
    [
        ([5, 8, 4, 6], 1.0, REPLICATES),
        ([5, 8, 4, 6], 0.1, PART),  # unlearned, and everything else with it
        ([45, 48, 50, 46], 1.0, FAILS),
        ([4, 11, 4, 50], 1.0, OPEN),  # 17 tokens on average, 95 % interval up to 50
        ([7], 1.0, OPEN),
    ],
)
def test_unlearning_is_judged_by_its_interval(left, kept, verdict) -> None:
    table = pd.concat(
        [
            updates("unlearn", "gradient", left, others_retained=kept),
            updates("unlearn", "all", left),
        ]
    )
    row = claims._sparse(judged(weight_edits=table))
    assert row.verdict == verdict
    assert "at learning rates of 0.01" in row.measured


@pytest.mark.parametrize(
    ("same", "end", "verdict"),
    [
        ([50, 50, 50, 50], [50, 50, 50, 50], REPLICATES),
        (
            [50, 49, 50, 50],
            [8, 5, 9, 7],
            PART,
        ),  # nothing at first, and then they do it as well
        ([20, 25, 22, 21], [8, 5, 9, 7], FAILS),
        ([50], [8], OPEN),  # one passage
        ([50], [50], OPEN),
        ([50, 50, 50, 50], [50, 10, 50, 50], OPEN),
    ],
)
def test_random_weights_are_judged_in_the_end_too(same, end, verdict) -> None:
    table = updates("unlearn", "random", end, same)
    assert claims._random(judged(weight_edits=table)).verdict == verdict


@pytest.mark.parametrize(
    ("rewritten", "unlearned", "done", "verdict"),
    [
        ([40, 45, 42, 41], [5, 8, 4, 6], True, REPLICATES),
        ([5, 7, 4, 6], [40, 45, 42, 41], False, FAILS),
        ([0, 48, 50, 2], [5, 8, 4, 6], True, OPEN),
        ([0], [7], False, OPEN),
    ],
)
def test_rewriting_is_compared_passage_by_passage(rewritten, unlearned, done, verdict) -> None:
    table = [
        updates("rewrite", "gradient", rewritten, succeeded=not done),
        updates("unlearn", "gradient", unlearned, succeeded=done),
    ]
    if verdict == OPEN:
        table = [one.assign(succeeded=False) for one in table]
    assert claims._harder(judged(weight_edits=pd.concat(table))).verdict == verdict
