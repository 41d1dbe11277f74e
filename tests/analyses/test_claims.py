"""Claims: one verdict from several comparisons, the table and the sentence they become, and how
saved ones of earlier versions are shown.
"""

from __future__ import annotations

import pytest

from analyses.claims import (
    FAILS,
    NOT_MEASURED,
    OPEN,
    PART,
    REPLICATES,
    TABLE,
    VERDICTS,
    Claim,
    Measured,
    part,
    say_claims,
    verdict_of,
)
from workbench import views as v
from workbench.result import Result


@pytest.mark.parametrize(
    ("comparisons", "verdict"),
    [
        ([True, True], REPLICATES),
        ([True, None], PART),
        ([True, False], PART),
        ([False, None], FAILS),
        ([None, None], OPEN),
        ([], OPEN),
    ],
)
def test_what_cannot_be_told_is_no_reason_that_a_claim_holds(comparisons, verdict) -> None:
    assert verdict_of(comparisons) == verdict


def claim(text: str, verdict: str, group: str = "Claim by claim") -> Claim:
    return Claim(text, "as in the paper", lambda result: Measured("1.0", verdict, "±0.1"), group)


def run_of(*claims: Claim) -> Result:
    result = Result("some-analysis")
    say_claims(result, claims, "Doe 2024 (GPT-2)")
    return result


def test_a_run_says_how_many_replicate_and_which_do_not() -> None:
    missing = Claim("D", "1", lambda result: NOT_MEASURED)
    result = run_of(claim("A", REPLICATES), claim("B", FAILS), claim("C", PART), missing)
    finding = result.findings["claims"]
    assert finding.values == {"hold": 1, "in_part": 1, "fail": 1, "open": 1}
    assert finding.says == (
        "Of 4 claims of Doe 2024 (GPT-2), 1 replicate on this model, 1 in part; not this: B; 1"
        " cannot be told from this run."
    )
    table = result.tables["claims"].set_index("claim")
    assert list(table.loc["D"]) == ["1", "not measured", OPEN, "the run left this part out"]
    assert list(result.tables["claims"]) == [column.name for column in TABLE.columns]
    assert set(table["verdict"]) == set(VERDICTS)


def test_claims_are_shown_by_group_wherever_they_stand_in_the_table() -> None:
    claims = [claim("A", PART, "One"), claim("B", OPEN, "Two"), claim("C", FAILS, "One")]
    run = run_of(*claims)
    pick = v.View("Claims", []).pick(run)
    shown = part(claims).items(pick)
    assert {t.caption: list(t.frame["claim"]) for t in shown} == {"One": ["A", "C"], "Two": ["B"]}
    assert all(t.of == "claims" for t in shown)
    reworded = part([*claims[:2], claim("C in other words", FAILS, "One")]).items(pick)
    assert {t.caption: list(t.frame["claim"]) for t in reworded} == {
        "One": ["A"],
        "Two": ["B"],
        "Further claims": ["C"],
    }


@pytest.mark.parametrize(
    ("older", "today"),
    [
        ("holds", REPLICATES),
        ("comes out again", REPLICATES),
        ("holds in part", PART),
        ("does not hold", FAILS),
        ("does not come out", FAILS),
        (OPEN, OPEN),
    ],
)
def test_verdicts_of_older_runs_are_shown_in_todays_words(older: str, today: str) -> None:
    run = run_of(claim("A", older))
    (shown,) = v.View("Claims", [part([claim("A", OPEN)])]).still(run)
    assert list(shown.frame["verdict"]) == [today]
    assert list(run.tables["claims"]["verdict"]) == [older]  # what was saved stays as it is
