"""Grids on the pages: at work they stand on Home with a bar and can be stopped; their runs open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.helpers.grids import finished_grid
from tests.helpers.waiting import until
from ui.server import build
from workbench.grid import status
from workbench.progress import Update

OWN = "http://127.0.0.1:7860"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("workbench.paths.sample_runs_dirs", list)
    finished_grid(tmp_path / "grid")
    return tmp_path


def client(root: Path, **options: Any) -> TestClient:
    """Not entered, so that no model is loaded and nothing is drawn ahead."""
    return TestClient(build("no-model", root, **options), base_url=OWN)


def test_a_grid_at_work_is_shown_and_stopped(root: Path) -> None:
    asks, folder = client(root), root / "grid"
    assert asks.get("/grids").json() == []
    assert "hidden" in section(asks.get("/").text)
    refused = asks.post("/runs/grid/stop", json={})
    assert (refused.status_code, "is not at work" in refused.json()["what"]) == (404, True)
    with status.locked(folder):
        status.write(folder, Update(0.25, "1 of 4 done <b>", 10.0, 300.0))
        (told,) = asks.get("/grids").json()
        assert (told["id"], told["percent"], told["stopping"]) == ("grid", 25, False)
        assert told["says"] == "25 % · about 5 min left · 1 of 4 done <b>"
        for page in ("/", "/runs"):
            shown = section(asks.get(page).text)
            assert 'value="25"' in shown
            assert "1 of 4 done &lt;b&gt;" in shown
            assert "hidden" not in shown
        assert asks.post("/runs/grid/stop", json={}).json() == {"stopping": "grid"}
        assert status.is_stopping(folder)
        assert asks.get("/grids").json()[0]["stopping"]
        assert asks.post("/runs/grid/delete", json={}).status_code == 422
    assert asks.get("/grids").json() == []


def section(page: str) -> str:
    return page.partition('<section id="grids"')[2].partition("</section>")[0]


def test_another_site_stops_nothing(root: Path) -> None:
    with status.locked(root / "grid"):
        asked = client(root).post("/runs/grid/stop", data={"a": "b"})
        assert asked.status_code == 422
        assert not status.is_stopping(root / "grid")


def test_the_runs_of_a_grid_have_their_pages(root: Path) -> None:
    asks = client(root)
    (inner,) = {path.name for path in (root / "grid" / "runs").iterdir() if "a-seed-0" in path.name}
    assert inner not in asks.get("/runs").text
    assert asks.get(f"/runs/{inner}/report.html").status_code == 200
    assert asks.get("/runs/grid/report.html").status_code == 200


def test_the_report_of_a_grid_says_what_holds(root: Path) -> None:
    text = client(root).get("/runs/grid/report.html").text
    assert "2 seeds of each combination." in text
    assert "goes from 0.3" in text
    assert "workbench grid intervention --model a --model b" in text


def test_a_bar_moves_and_stop_asks_first(root: Path, browser: Any) -> None:
    from tests.helpers.serving import little_drawn, served

    folder = root / "grid"
    with little_drawn(), served("no-model", root) as address, status.locked(folder):
        status.write(folder, Update(0.1, "Starting", 1.0, None))
        page = browser.new_context(viewport={"width": 420, "height": 900}).new_page()
        page.goto(address)
        page.wait_for_selector("#grids progress")
        status.write(folder, Update(0.6, "3 of 4 done", 60.0, 40.0))
        until(lambda: page.locator("#grids progress").get_attribute("value") == "60")
        page.click("#grids button")
        page.click("dialog.wb-dialog .wb-primary")
        until(lambda: page.locator("#grids button").is_disabled())
        assert status.is_stopping(folder)
        assert page.evaluate("document.documentElement.scrollWidth") <= 420


def test_from_the_page_of_a_grid_to_one_of_its_runs(root: Path, browser: Any) -> None:
    from tests.helpers.serving import little_drawn, served

    with little_drawn(), served("no-model", root) as address:
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.goto(f"{address}/explorer?run=grid#Runs")
        page.get_by_role("button", name="Runs", exact=True).click()
        page.get_by_role("gridcell", name="a, seed 1").first.click()
        page.get_by_role("link", name="Open this run").click()
        page.wait_for_url("**/explorer?run=a-seed-1-*")
        page.get_by_text("It is 0.4.").first.wait_for()
