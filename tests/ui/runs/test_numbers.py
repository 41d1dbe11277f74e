"""What a person reads above a finding's numbers, in a table and on its card."""

from __future__ import annotations

import workbench as wb
from ui.runs.numbers import table, titles
from ui.runs.provenance import findings_html
from workbench.result import Finding, Result
from workbench.schema import FindingSchema, Schema


def test_findings_go_by_their_titles() -> None:
    result = wb.open_run("capitals")
    assert titles(result)["prune_context"] == "Context heads switched off, held-out facts"
    rows = table(result).set_index("finding")
    assert set(rows.loc[["prune_context"], "title"]) == {titles(result)["prune_context"]}
    cards = str(findings_html(result))
    assert "<h3>Context heads switched off, held-out facts" in cards
    assert "prune context" not in cards


def test_findings_of_one_title_say_what_tells_them_apart() -> None:
    schema = Schema(findings=[FindingSchema("against_*", "Beside other tokens")])
    assert schema.title("against_others_L6") == "Beside other tokens: others L6"
    assert schema.title("against_") == "Beside other tokens"
    assert schema.title("not_there") == "not there"


def test_no_two_findings_of_a_sample_run_share_a_title() -> None:
    for name in ("capitals", "what-function-tokens-open", "how-much-a-state-holds"):
        named = titles(wb.open_run(name))
        assert len(set(named.values())) == len(named)


def test_of_an_analysis_that_is_not_here_the_names_must_do() -> None:
    result = Result("not-installed", "Which?")
    result.add(Finding("how_many", 3.0, "Three."))
    assert titles(result) == {"how_many": "how many"}
