"""The summary of a grid as a run: its tables, what it says, and the files beside the grid's own."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from tests.helpers.grids import ASKED, CELLS, finish
from workbench import registry, run_trash, runs
from workbench.errors import WorkbenchError
from workbench.grid.campaign import Campaign
from workbench.grid.page import GridPage
from workbench.result import Result


@pytest.fixture
def campaign(tmp_path):
    made = Campaign(tmp_path / "grid", CELLS)
    with made.claimed():
        yield made


def test_before_the_first_run_it_is_a_run_that_says_so(campaign):
    GridPage(campaign, ASKED).write()
    opened = Result.open(campaign.folder)
    assert (opened.analysis, opened.partial) == (registry.GRID, True)
    assert opened.findings["runs"].says == "0 of 4 runs are done, 4 not done yet."
    assert list(opened.tables) == ["runs"]
    assert not list(registry.get("grid").schema.problems(opened))
    assert opened.title == "Intervention · 2 models, 2 seeds"


def test_it_grows_with_its_runs_and_says_what_failed(campaign):
    page = GridPage(campaign, ASKED)
    finish(campaign, CELLS[0])
    page.write()
    page.failed[CELLS[1].key] = WorkbenchError("No memory.")
    finish(campaign, CELLS[2])
    page.write()
    opened = Result.open(campaign.folder)
    states = opened.tables["runs"].set_index("id")["state"]
    assert states[CELLS[0].folder] == "done"
    assert states[CELLS[1].folder] == "failed"
    assert opened.findings["runs"].says == "2 of 4 runs are done, 1 failed, 1 not done yet."
    assert opened.tables["runs"]["says"].tolist() == ["It is 0.2.", "No memory.", "It is 0.7.", ""]


def test_numbers_over_seeds_are_those_of_the_runs(campaign):
    for one in CELLS:
        finish(campaign, one)
    opened = GridPage(campaign, ASKED).write()
    opened = Result.open(campaign.folder)
    assert not opened.partial
    over = opened.tables["over_seeds"]
    changed = over[over["value"] == "changed"].set_index("model")
    assert changed["mean"].to_dict() == pytest.approx({"a": 0.3, "b": 0.8})
    # Student's with one degree of freedom: 12.706 times the standard error, which is 0.1.
    assert changed.loc["a", "high"] - changed.loc["a", "mean"] == pytest.approx(1.2706, rel=1e-3)
    says = opened.findings["extremes"].says
    assert says.endswith("goes from 0.3 (a) to 0.8 (b), mean over the seeds.")
    assert opened.findings["spread"].values["seeds"] == pytest.approx(0.2)
    assert opened.findings["seeds"].says == "2 seeds of each combination."
    table = pd.read_csv(campaign.folder / "summary.csv")
    assert table["next_token.changed"].tolist() == [0.2, 0.4, 0.7, 0.9]
    assert not list(registry.get("grid").schema.problems(opened))


def test_a_damaged_run_is_to_do_and_the_page_stands(campaign):
    finish(campaign, CELLS[0])
    (campaign.place(CELLS[0]) / "result.json").write_text("{")
    assert GridPage(campaign, ASKED).write().findings["runs"].values["done"] == 0


def test_a_run_whose_table_is_damaged_is_named_and_stops_nothing(campaign):
    for one in CELLS[:2]:
        finish(campaign, one)
    place = campaign.place(CELLS[0])
    index = json.loads((place / "result.json").read_text())
    index["tables"] = {"gone": {"rows": 1, "columns": ["a"]}}
    (place / "result.json").write_text(json.dumps(index))
    page = GridPage(campaign, ASKED)
    opened = page.write()
    assert opened.findings["runs"].says == "1 of 4 runs is done, 1 failed, 2 not done yet."
    assert str(place) in page.failed[CELLS[0].key].do


def test_a_grid_at_work_is_not_deleted(tmp_path):
    campaign = Campaign(tmp_path / "grid", CELLS)
    with campaign.claimed():
        GridPage(campaign, ASKED).write()
        with pytest.raises(WorkbenchError, match="is at work"):
            run_trash.delete("grid", tmp_path)
    run_trash.delete("grid", tmp_path)
    assert not campaign.folder.exists()


def test_runs_of_a_grid_are_found_and_not_listed(campaign):
    finish(campaign, CELLS[0])
    GridPage(campaign, ASKED).write()
    root = campaign.folder.parent
    assert [entry.id for entry in runs.listing(root, samples=False)] == ["grid"]
    assert runs.find(CELLS[0].folder, root).path == campaign.place(CELLS[0])
