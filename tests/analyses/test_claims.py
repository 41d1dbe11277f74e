"""Claims: one verdict from several comparisons, the table and the sentence they become."""

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
    assert finding.values == {
        "replicates": 1,
        "in_part": 1,
        "does_not_replicate": 1,
        "cannot_be_told": 1,
    }
    assert finding.says == (
        "Of 4 claims of Doe 2024 (GPT-2), 1 replicates on this model, 1 replicates in part, 1 does"
        " not replicate (B) and 1 cannot be told."
    )
    table = result.tables["claims"].set_index("claim")
    assert list(table.loc["D"]) == ["1", "not measured", OPEN, "this part was not run"]
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
    ("verdicts", "says"),
    [
        (
            [OPEN, OPEN],
            "Of 2 claims of Doe 2024 (GPT-2), none replicates on this model and 2 cannot",
        ),
        ([REPLICATES] * 2, "Of 2 claims of Doe 2024 (GPT-2), 2 replicate on this model."),
        ([FAILS], "Of 1 claim of Doe 2024 (GPT-2), none replicates on this model and 1 does not"),
    ],
)
def test_verbs_agree_with_their_numbers(verdicts: list[str], says: str) -> None:
    run = run_of(*(claim(text, verdict) for text, verdict in zip("ABC", verdicts, strict=False)))
    assert run.findings["claims"].says.startswith(says)
