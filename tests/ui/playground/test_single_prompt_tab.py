"""The Playground's tab Inside one prompt in a real browser: form, run, the run's Explorer in a
frame, hostile text, nobody else's frame.
"""

from __future__ import annotations

from typing import Any

import pytest

from ui.playground.single_prompt_tab import site_choices

HOSTILE = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
WAIT = 60_000  # milliseconds; generous, since test machines are slow and shared


def test_sites_are_offered_with_what_they_are(llama: Any) -> None:
    choices = {value: label for label, value in site_choices(llama)}
    assert set(choices) == set(llama.sites)
    assert "queries" in choices["q"]


def test_only_the_explorer_may_stand_in_a_frame_and_only_in_our_own(address: str) -> None:
    import httpx

    explorer, playground = (
        httpx.get(f"{address}/{page}").headers for page in ("explorer", "playground/")
    )
    assert explorer["x-frame-options"] == "SAMEORIGIN"
    assert "frame-ancestors 'self'" in explorer["content-security-policy"]
    assert playground["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in playground["content-security-policy"]


@pytest.mark.browser
def test_a_prompt_is_looked_at_and_its_run_opens_below(browser: Any, address: str) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 1400})
    page.set_default_timeout(WAIT)
    elsewhere: list[str] = []

    def only_here(route: Any) -> None:
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    page.route("**/*", only_here)
    page.goto(f"{address}/playground/")
    page.locator(".status:not(.busy)").wait_for()
    page.get_by_role("tab", name="Inside one prompt").click()
    page.locator("#trace-prompt textarea").fill(f"The capital {HOSTILE} is")
    page.locator("#trace-answer textarea, #trace-answer input").first.fill("Paris")
    page.locator("#trace-run").click()
    frame = page.frame_locator("#trace-explorer iframe")
    frame.get_by_text("Residual norms", exact=True).first.wait_for()
    assert page.locator("#trace-job a", has_text="Open in Explorer").count() == 1

    # A cell of the lens chooses layer and token; the norms show the same.
    frame.get_by_text("Logit lens", exact=True).first.click()
    cell = frame.locator('td[data-at^="1,"]').first
    at = cell.get_attribute("data-at")
    cell.click()
    frame.locator(f'td.wb-here[data-at="{at}"]').first.wait_for()
    frame.get_by_text("Residual norms", exact=True).first.click()
    frame.locator(f'td.wb-here[data-at="{at}"]').nth(1).wait_for()
    inside = page.frames[-1]
    assert inside.evaluate("window.hacked") is None
    assert page.evaluate("window.hacked") is None
    assert elsewhere == []

    # What cannot be looked at is said above the form's answer, and the page stands.
    page.locator("#trace-prompt textarea").fill("word " * 400)
    page.locator("#trace-run").click()
    page.locator("#trace-job", has_text="at most 256").wait_for()


@pytest.mark.browser
def test_where_an_answer_came_from_is_the_tab_that_opens(browser: Any, address: str) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 1400})
    page.set_default_timeout(WAIT)
    page.goto(f"{address}/playground/")
    page.locator(".status:not(.busy)").wait_for()
    tab = page.get_by_role("tab", name="Where from?")
    assert tab.get_attribute("aria-selected") == "true"
    page.locator("#from-prompt textarea").fill(f"Ann is in Rome. {HOSTILE} Where is Ann? Ann is in")
    page.locator("#from-subject textarea, #from-subject input").first.fill("Ann")
    page.locator("#from-run").click()
    frame = page.frame_locator("#from-explorer iframe")
    frame.get_by_text("Sentences", exact=True).first.click()
    frame.get_by_text("The answer rests most on").first.wait_for()
    assert page.frames[-1].evaluate("window.hacked") is None

    page.locator("#from-subject textarea, #from-subject input").first.fill("Bo")
    page.locator("#from-run").click()
    page.locator("#from-job", has_text="does not stand in the question").wait_for()
