"""The folder of a grid."""

from __future__ import annotations

import json

import pytest

from workbench.errors import BadInput, WorkbenchError
from workbench.grid.campaign import Campaign
from workbench.grid.plan import PlannedRun
from workbench.result import Result


def cell(n: int, analysis: str = "count") -> PlannedRun:
    return PlannedRun(analysis, "tiny", {"n": n}, {"n": n})


def finish(campaign: Campaign, which: PlannedRun) -> None:
    campaign.clear(which)
    Result(which.analysis).save(campaign.place(which))


def test_what_is_there_is_done_and_what_is_damaged_is_not(tmp_path):
    campaign = Campaign(tmp_path / "grid", [cell(1), cell(2)])
    assert not campaign.done(cell(1))
    finish(campaign, cell(1))
    assert campaign.done(cell(1))
    assert not campaign.done(cell(2))
    index = campaign.place(cell(1)) / "result.json"
    index.write_text(index.read_text()[:40])
    assert not campaign.done(cell(1))
    finish(campaign, cell(1))
    assert campaign.done(cell(1))


def test_a_grid_that_was_begun_grows(tmp_path):
    with Campaign(tmp_path / "grid", [cell(1), cell(2)]).claimed():
        pass
    grown = Campaign(tmp_path / "grid", [cell(2), cell(3)])
    assert [one.params["n"] for one in grown.cells] == [2, 3, 1]
    with grown.claimed():
        pass
    assert len(json.loads((tmp_path / "grid" / "campaign.json").read_text())["cells"]) == 3


def test_one_grid_in_a_folder_at_a_time(tmp_path):
    first = Campaign(tmp_path / "grid", [cell(1)])
    with first.claimed():
        second = Campaign(tmp_path / "grid", [cell(2)])
        with pytest.raises(WorkbenchError, match="Another grid is at work"), second.claimed():
            pass
    with second.claimed():
        pass


CELL = '{"model": "m", "params": {}, "varied": {}}'


@pytest.mark.parametrize(
    ("holds", "says"),
    [
        (None, "is not empty"),
        ("[]", "cannot be read"),
        ('{"format": 1, "analysis": "count", "cells": [{"model": 1}]}', "cannot be read"),
        ('{"format": 1, "analysis": "x", "cells": [{"model": "m", "params": [], "varied": {}}]}',
         "cannot be read"),
        ('{"format": 9}', "of format 9"),
        (f'{{"format": 1, "analysis": "other", "cells": [{CELL}]}}', "a grid of other"),
    ],
)  # fmt: skip
def test_a_folder_with_something_else_is_left_alone(tmp_path, holds, says):
    folder = tmp_path / "grid"
    folder.mkdir()
    (folder / ("note.txt" if holds is None else "campaign.json")).write_text(holds or "mine")
    with pytest.raises(BadInput, match=says):
        Campaign(folder, [cell(1)])
    assert len(list(folder.iterdir())) == 1


def test_where_nothing_can_be_written_the_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(WorkbenchError, match="Nothing can be written to"),
        Campaign(tmp_path / "file" / "grid", [cell(1)]).claimed(),
    ):
        pass
