"""Which parts a run has, also one from before a part was there."""

from __future__ import annotations

from typing import Any

import pytest

import workbench as wb
from workbench import registry
from workbench.account import not_run
from workbench.parts import Part
from workbench.result import Result
from workbench.runs import listing

PARTS = [
    Part("rates", "Rates", "How often.", views=["Rates"]),
    Part("heads", "Heads", "Which.", views=["Heads"], stands_on=["rates"]),
    Part("dial", "Dial", "By how much.", views=["Dial"], stands_on=["heads"]),
    Part("later", "Later", "Added to the analysis later.", views=["Later"]),
]


def names(found: tuple[list[Part], list[Part]]) -> tuple[list[str], list[str]]:
    stated, unstated = found
    return [part.name for part in stated], [part.name for part in unstated]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (["heads"], (["dial"], ["later"])),
        (["heads", "no longer there", 3], (["dial"], ["later"])),
        (["rates", "later"], (["dial"], ["heads"])),
        ("heads", (["dial"], [])),
        (None, (["dial"], [])),
    ],
)
def test_parts_that_were_not_run(asked: Any, expected: tuple[list[str], list[str]]) -> None:
    result = Result("any", "Which?", {} if asked is None else {"parts": asked})
    result.provenance.cost["left_out"] = [{"name": "dial", "title": "Dial"}]
    assert names(not_run(PARTS, result)) == expected


@pytest.mark.parametrize("name", sorted(entry.id for entry in listing(None) if entry.sample))
def test_a_whole_sample_run_has_no_tab_without_contents(name: str) -> None:
    result = wb.open_run(name)
    analysis = registry.get(result.analysis)
    shown = analysis.views(result)
    declared = [view for view in analysis.module.VIEWS if view.missing(result)]
    assert not result.partial
    assert [view.title for view in declared if not shown[view.title].why_not] == []
