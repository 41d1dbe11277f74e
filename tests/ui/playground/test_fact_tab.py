"""The Playground's tab for editing: a fact changed in a browser, asked, and undone."""

from __future__ import annotations

from typing import Any

import pytest

import workbench as wb
from tests.helpers import trained_facts

WAIT = 60_000  # milliseconds; generous, since test machines are slow and shared


@pytest.fixture(scope="module")
def model() -> Any:
    return wb.load((trained_facts.module(), trained_facts.tokenizer()))


@pytest.mark.browser
def test_a_fact_is_changed_asked_and_undone_in_the_browser(browser: Any, address: str) -> None:
    from playwright.sync_api import expect

    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(WAIT)
    page.goto(f"{address}/playground/")
    page.get_by_role("tab", name="Edit", exact=True).click()
    page.locator("#edit-ask").click()
    expect(page.locator("#edit-ask-error")).to_contain_text("No fact is changed yet", timeout=WAIT)
    page.locator("#edit-prompt textarea").fill("The capital of is")
    page.locator("#edit-run").click()
    expect(page.locator("#edit-error-box")).to_contain_text("{subject}", timeout=WAIT)
    page.locator("#edit-prompt textarea").fill(trained_facts.PROMPT)
    page.get_by_label("Subject", exact=True).fill("Land3")
    page.get_by_label("New answer", exact=True).fill("City0")
    page.get_by_label("LoRA").check()
    page.locator("#edit-run").click()
    frame = page.frame_locator("#edit-explorer iframe")
    expect(frame.get_by_text("“City3” becomes “City0”").first).to_be_visible(timeout=WAIT)
    page.locator("#edit-question textarea").fill("People of Land3 vote in")
    page.locator("#edit-ask").click()
    said = page.locator("#edit-said")
    expect(said).to_contain_text("They differ", timeout=WAIT)
    expect(said).to_contain_text("Land3: LoRA, 100% on")
    share = page.locator("#edit-share input[type=range]")
    share.focus()
    share.press("Home")
    page.locator("#edit-ask").click()
    expect(said).to_contain_text("Undone: both are the same model", timeout=WAIT)
    page.close()
