"""*Test it here*, in a browser: a model of which one head remembers and another copies."""

from __future__ import annotations

from typing import Any

import pytest

import workbench as wb
from tests.helpers.planted import ANSWERS, SUBJECTS, planted_module, planted_tokenizer

WAIT = 60_000  # milliseconds; generous, since test machines are slow and shared
PROMPT = f"The capital of {SUBJECTS[1]} is {ANSWERS[6]} . Question : Answer : The capital of"
PROMPT += f" {SUBJECTS[1]} is"


@pytest.fixture(scope="module")
def model() -> Any:
    return wb.load((planted_module(), planted_tokenizer()))


@pytest.mark.browser
def test_a_prompt_is_asked_again_in_the_browser(browser: Any, address: str) -> None:
    from playwright.sync_api import expect

    page = browser.new_page(viewport={"width": 1440, "height": 1000})
    page.set_default_timeout(WAIT)
    page.goto(f"{address}/playground/")
    expect(page.locator("#from-test")).to_be_hidden()
    page.locator("#from-prompt textarea").fill(PROMPT)
    page.locator("#from-answer textarea, #from-answer input").fill(ANSWERS[6])
    page.locator("#from-run").click()
    said = page.locator("#from-test-said")
    expect(said).to_contain_text("Nothing is taken away yet", timeout=WAIT)
    expect(said).to_contain_text(ANSWERS[6])
    sentence = page.locator("#from-test-cut input").first
    sentence.check()
    expect(said).to_contain_text("The model says something else", timeout=WAIT)
    expect(said.get_by_text(ANSWERS[1]).first).to_be_visible()
    sentence.uncheck()
    expect(said).to_contain_text("Nothing is taken away yet", timeout=WAIT)
    page.get_by_label("Heads that look at the context").check()
    expect(said).to_contain_text("The model says something else", timeout=WAIT)
    page.get_by_label("Heads that look at the context").uncheck()
    page.get_by_text("More changes").click()
    page.locator("#from-test-instead textarea, #from-test-instead input").fill(
        f"The capital of {SUBJECTS[1]} is {ANSWERS[9]} ."
    )
    page.keyboard.press("Enter")
    expect(said.get_by_text(ANSWERS[9]).first).to_be_visible(timeout=WAIT)
    page.locator("#from-test-further textarea, #from-test-further input").fill("L7H1")
    page.keyboard.press("Enter")
    expect(page.locator("#from-test-error")).to_contain_text("no head", timeout=WAIT)
    page.close()
