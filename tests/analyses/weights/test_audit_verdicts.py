"""The audit's verdicts and the words they are said in, on tables whose truth is known."""

from __future__ import annotations

import pandas as pd
import pytest

from analyses.weights.audit import material
from analyses.weights.audit.constants import GIVES, NO_CONTROL, NO_SIGN, NOTHING_ASKED, SLIGHT
from tests.helpers.audit_tables import (
    FIELD_COUNTS,
    documents_table,
    items_table,
    personal_run,
    run_of,
    values_table,
)


@pytest.mark.parametrize(
    ("signs", "columns", "verdict"),
    [
        ((100, 20, 0, 0), {}, NO_SIGN),
        ((100, 20, 40, 40), {}, NO_SIGN),
        ((100, 20, 40, 5), {}, GIVES),
        ((100, 40, 0, 0), {}, SLIGHT),
        ((3, 3, 1, 1), {}, SLIGHT),
        ((1, 1, 0, 0), {}, NO_SIGN),
        ((3, 0, 3, 2), {}, NO_SIGN),
        # True or False, in that order: nothing stands before the last that could be in another.
        ((100, 0, 60, 0), {"n_options": 2, "sorted": True}, NOTHING_ASKED),
        # One, two, three, and everybody goes on with four.
        ((100, 0, 90, 5), {"sorted": True}, NOTHING_ASKED),
        ((100, 50, 60, 0), {"n_options": 2, "chance": 0.5}, NO_SIGN),
        ((100, 80, 60, 0), {"n_options": 2, "chance": 0.5}, SLIGHT),
    ],
)
def test_a_verdict_on_a_test_needs_more_than_its_controls(signs, columns, verdict):
    result = run_of(items=items_table(*signs, **columns))
    assert result.tables["verdicts"]["verdict"].tolist() == [verdict]
    says = result.findings["items"].says
    assert ("A model that read the test" in says) == (verdict in (GIVES, SLIGHT))


def test_what_has_no_control_says_so():
    for result in (personal_run(5, 3, has_control=False),
                   run_of(facts=values_table(5, 3, has_control=False))):  # fmt: skip
        verdicts = result.tables["verdicts"]
        assert verdicts["verdict"].tolist() == [NO_CONTROL]
        assert verdicts["n_control"].tolist() == [0]
        assert "may be guessed" in result.findings["audit"].says
        assert "no control" in result.findings["controls"].says
    # What has none is left out where others have one.
    half = values_table(8, 8)
    half["has_control"] = [True] * 4 + [False] * 4
    row = run_of(facts=half).tables["verdicts"].iloc[0]
    assert (row["n"], row["n_out"], row["n_control"]) == (4, 4, 4)


def test_values_of_texts_it_never_read_are_the_control_where_there_are_any():
    never = values_table(40, 20, repeats=0)
    for out, verdict in ((35, GIVES), (20, NO_SIGN)):
        table = pd.concat([values_table(40, out, repeats=64), never], ignore_index=True)
        result = run_of(personal=table, fields=FIELD_COUNTS)
        row = result.tables["verdicts"].iloc[0]
        assert (row["n"], row["n_out"], row["n_control"], row["control"]) == (40, out, 40, 0.5)
        assert row["verdict"] == verdict
        assert "20 of 40 values of texts it never read" in result.findings["controls"].says


def test_what_only_many_samples_hold_is_a_little():
    says = {}
    for n, never in ((6, 0), (6, 40), (0, 40)):
        table = documents_table(sampled=n, none=20 - n)
        if never:
            table = pd.concat([table, documents_table(0, sampled=0, none=never)], ignore_index=True)
        result = run_of(documents=table)
        verdict = result.tables["verdicts"]["verdict"].tolist()
        assert verdict == [SLIGHT if n else NO_SIGN]
        says[n] = result.findings["audit"].says
    assert says[6] == "In many tries it would give out a passage of 6 of 20 documents."
    often = pd.concat([documents_table(sampled=3, none=17), documents_table(0, sampled=8, none=32)])
    assert run_of(documents=often).tables["verdicts"]["verdict"].tolist() == [NO_SIGN]


def test_sentences_hold_for_the_counts_they_are_about():
    def of(**counts):
        return run_of(documents=documents_table(**counts)).findings["documents"].says

    assert "more" not in of(parts=3)
    assert "Long parts of 3 more" in of(whole=1, parts=3)
    assert "Of 2 a passage" in of(sampled=2)
    assert "almost surely" not in of(parts=3)
    assert "almost surely" in of(whole=1)
    assert "They may have been read" in of(none=3)
    assert "may have been read" not in of(whole=3).replace("It may", "")
    never = pd.concat([documents_table(whole=1, none=9), documents_table(0, whole=8, none=32)])
    assert "almost surely" not in run_of(documents=never).findings["documents"].says
    says = personal_run(9, 6).findings["personal"].says
    assert "4 of them are of the field date." in says
    assert "of the rest are" in personal_run(9, 6, 1).findings["personal"].says
    assert "It can be guessed." in personal_run(9, 1, 1).findings["personal"].says
    liked = run_of(items=items_table(100, 40, 0, 0)).findings["audit"].says
    assert liked == "It likes the printed order best in 40 of 100 test items."
    assert "So the order helps" not in run_of(items=items_table(9, 0, 3, 2)).findings["items"].says
    controls = run_of(documents=documents_table(none=1)).findings["controls"]
    assert "20 words or parts of words from a start, or 30 inside" in controls.says
    assert "11 and 20" in controls.says
    assert list(controls.values) == ["documents"]
    skipped = [material.SkippedMaterial("500 documents", "too short", 500)]
    left = run_of(skipped, documents=documents_table(none=1)).findings["left_out"]
    assert left.says.startswith("500 things were not asked.")
    skipped = [material.SkippedMaterial("a.pdf", "not read")]
    left = run_of(skipped, documents=documents_table(none=1)).findings["left_out"]
    assert left.says.startswith("1 thing was not asked.")
