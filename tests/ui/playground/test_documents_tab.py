"""The Playground's tab Audit this model in a real browser, with nothing but the page's own words:
mixed files dropped, a verdict for each kind, what cannot be asked named.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

HOSTILE = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1> "
WAIT = 120_000  # milliseconds; generous, since test machines are slow and shared


@pytest.fixture
def mixed(tmp_path: Path) -> list[str]:
    """Files of every kind, and one of none."""
    (tmp_path / "letter.txt").write_text(f"{HOSTILE * 40}\nWrite to anna@example.org now.")
    (tmp_path / "facts.csv").write_text("prompt,answer\nThe capital of France is,Paris\n")
    item = {"question": HOSTILE, "options": ["red", "blue", "green"]}
    (tmp_path / "test.jsonl").write_text(json.dumps(item))
    (tmp_path / "scan.pdf").write_bytes(b"%PDF\0")
    return [str(p) for p in sorted(tmp_path.iterdir())]


@pytest.mark.browser
def test_mixed_files_get_a_verdict_for_each_kind(
    browser: Any, address: str, mixed: list[str]
) -> None:
    from playwright.sync_api import expect

    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(WAIT)
    page.goto(f"{address}/playground/")
    page.get_by_role("tab", name="Audit this model").click()
    button = page.get_by_role("button", name="Audit", exact=True)
    button.click()
    expect(page.locator("#audit-error-box")).to_contain_text("There is no document", timeout=WAIT)
    page.locator("#audit-files input[type=file]").set_input_files(mixed)
    expect(page.locator("#audit-files")).to_contain_text("letter", timeout=WAIT)
    told = page.locator("#preview-audit")
    expect(told).to_contain_text("1 fact, 1 test item", timeout=WAIT)
    expect(told).to_contain_text("Left out: scan.pdf")
    expect(page.locator("#takes-audit")).to_contain_text("Takes", timeout=WAIT)
    button.click()
    frame = page.frame_locator("#audit-explorer iframe")
    # The verdict stands first, and says each kind.
    says = "There is no sign of the 1 document, 1 personal value, 1 fact or 1 test item."
    expect(frame.get_by_text(says).first).to_be_visible(timeout=WAIT)
    tabs = {"Documents": "letter.txt", "Personal data": "e-mail",
            "Facts": "The capital of France is", "Test items": "window.hacked"}  # fmt: skip
    for tab, text in tabs.items():
        frame.get_by_role("button", name=tab, exact=True).click()
        cell = frame.locator("wb-view:visible .wb-table td").filter(has_text=text).first
        expect(cell).to_be_visible(timeout=WAIT)
    assert frame.get_by_text("workbench-uploads").count() == 0
    assert page.evaluate("window.hacked") is None


@pytest.mark.browser
def test_a_field_that_is_no_pattern_is_refused_on_the_page(browser: Any, address: str) -> None:
    from playwright.sync_api import expect

    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(WAIT)
    page.goto(f"{address}/playground/")
    page.get_by_role("tab", name="Audit this model").click()
    page.get_by_label("Or paste a text").last.fill("Dear Anna, this is a letter.")
    page.get_by_text("Personal data to look for").click()
    page.locator("#audit-fields textarea").fill("name: (")
    page.get_by_role("button", name="Audit", exact=True).click()
    expect(page.locator("#audit-error-box")).to_contain_text("no regular expression", timeout=WAIT)
