"""The gallery in a real browser: a run is found, sent on, renamed, deleted and restored, by mouse
and by keyboard alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.serving import served
from tests.helpers.synthetic import HOSTILE, synthetic_result
from workbench import run_labels

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(llama: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    patch = pytest.MonkeyPatch()
    root = tmp_path_factory.mktemp("runs")
    patch.setenv("WORKBENCH_RUNS", str(root))
    patch.setattr("workbench.paths.sample_runs_dirs", lambda: [])
    now = dt.datetime.now(dt.UTC)
    for number, name in enumerate(["new", "yesterday", "<img src=x onerror=alert(1)>", "old"]):
        result = synthetic_result(hostile="<" in name)
        result.provenance.started = (now - dt.timedelta(days=number)).isoformat(timespec="seconds")
        result.provenance.model["name"] = "another" if name == "old" else "tiny"
        result.save(root / name)
    run_labels.write(root / "<img src=x onerror=alert(1)>", title=HOSTILE, note=HOSTILE * 80)
    with served(llama, root) as address:
        yield address
    patch.undo()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1280, "height": 720}, accept_downloads=True)
    opened.set_default_timeout(20_000)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    assert opened.evaluate("window.pwned") is None
    assert errors == []
    opened.close()


def shown(page: Any) -> list[str]:
    cards = page.locator(".run:visible")
    return [cards.nth(number).get_attribute("data-run") for number in range(cards.count())]


def test_the_run_from_yesterday_is_sent_in_two_clicks_from_home(page: Any, address: str) -> None:
    page.goto(address)
    card = page.locator(".run", has=page.locator("time", has_text="yesterday"))
    card.locator("summary").click()
    with page.expect_download() as download:
        card.get_by_text("Download report").click()
    assert download.value.suggested_filename.endswith(".html")
    assert "Memory Workbench" in Path(download.value.path()).read_text(encoding="utf-8")
    card.get_by_role("link", name="Open:").click()  # or: open it, and download it there
    page.wait_for_url("**/explorer?run=yesterday**")
    page.get_by_role("link", name="Download report").wait_for()
    assert "Knowledge conflict · tiny" in page.title()


def test_filters_act_at_once_and_stand_in_the_address(page: Any, address: str) -> None:
    page.goto(f"{address}/runs")
    assert len(shown(page)) == 4
    assert page.evaluate("document.documentElement.scrollWidth") == 1280
    page.locator("select[name=model]").select_option("another")
    assert shown(page) == ["old"]
    assert "model=another" in page.url
    page.reload()
    assert shown(page) == ["old"]
    assert page.locator("#run-count").inner_text() == "1 of 4"
    page.get_by_label("Text").fill("nothing has this")
    page.get_by_role("button", name="Show all").click()
    page.wait_for_function("document.querySelectorAll('.run:not([hidden])').length === 4")
    assert "?" not in page.url


def test_the_keyboard_alone_renames_deletes_and_restores(page: Any, address: str) -> None:
    page.goto(f"{address}/runs")
    card = page.locator('.run[data-run="new"]')
    card.locator("summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert not card.get_by_text("Rename").is_visible()
    page.keyboard.press("Enter")
    for _ in range(2):  # past the report, to Rename
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("dialog input").fill("Mine & <b>yours</b>")
    page.keyboard.press("Enter")
    card.get_by_role("link", name="Mine & <b>yours</b>", exact=True).wait_for()
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"  # where one was
    page.keyboard.press("Enter")
    for _ in range(5):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    card.wait_for(state="detached")
    page.get_by_text("In the trash: Mine").wait_for()
    page.keyboard.press("Enter")  # Undo has the focus
    card.wait_for()
    page.locator(".wb-toast", has_text="Restored.").wait_for()


def test_the_trash_is_emptied_only_when_confirmed(page: Any, address: str) -> None:
    page.goto(f"{address}/runs")
    card = page.locator('.run[data-run="old"]')
    card.locator("summary").click()
    card.get_by_role("button", name="Delete").click()
    page.get_by_text("Trash (1)").click()
    page.get_by_role("button", name="Empty the trash").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Restore:").click()
    card.wait_for()
    card.locator("summary").click()
    card.get_by_role("button", name="Delete").click()
    page.get_by_text("Trash (1)").click()
    page.get_by_role("button", name="Empty the trash").click()
    page.get_by_role("button", name="Remove").click()
    page.get_by_text("The trash is empty.").wait_for()
    assert page.locator("#trash").count() == 0


def test_a_note_is_changed_in_the_explorer(page: Any, address: str) -> None:
    page.goto(f"{address}/explorer?run=yesterday")
    page.get_by_role("button", name="Add a note").click()
    page.locator("dialog textarea").fill("For Anna")
    page.get_by_role("button", name="Save", exact=True).click()
    page.locator(".wb-run-note", has_text="For Anna").wait_for()


def test_the_tour_is_of_three_steps_takes_no_focus_and_never_comes_back(
    browser: Any, address: str
) -> None:
    visitor = browser.new_context()
    page = visitor.new_page()
    page.goto(address)
    tour = page.locator("dialog.tour")
    for n in (1, 2, 3):
        tour.get_by_text(f"{n} of 3").wait_for()
        assert page.evaluate("document.activeElement === document.body") or n > 1
        tour.get_by_role("button", name="Done" if n == 3 else "Next").click()
    assert tour.count() == 0
    page.reload()
    page.locator("#runs").wait_for()
    assert tour.count() == 0
    other = browser.new_context()
    page = other.new_page()
    page.goto(address)
    page.locator("dialog.tour").wait_for()
    page.keyboard.press("Escape")
    assert page.locator("dialog.tour").count() == 0
    visitor.close()
    other.close()
