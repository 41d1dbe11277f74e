"""What a new visitor wants, from Home in at most four clicks and without reading docs: which heads
make the default model believe its context; whether a model can recite a text; what a head does.
(The fourth, sending yesterday's run to a colleague, is in `test_browser_gallery.py`.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.helpers.serving import served
from tests.helpers.waiting import until
from ui.playground import head_buttons
from workbench import organisms
from workbench.organisms import ledger

pytestmark = pytest.mark.browser
sync_api = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright, which `pip install .[dev]` brings"
)
expect = sync_api.expect
WAIT = 120_000  # milliseconds; generous, since test machines are slow and shared
MOST = 4
MINUTES = 60 * 60_000  # as milliseconds, for runs of the default model


@dataclass
class Visitor:
    """Somebody who starts at Home and clicks; typing is free."""

    page: Any
    clicks: int = 0

    def click(self, what: Any) -> None:
        what.click()
        self.clicks += 1
        assert self.clicks <= MOST


@pytest.fixture(scope="module")
def address(organism: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(organism, tmp_path_factory.mktemp("runs")) as address:
        yield address


@pytest.fixture
def visitor(browser: Any, address: str) -> Visitor:
    return at_home(browser, address)


def at_home(browser: Any, address: str) -> Visitor:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(WAIT)
    page.goto(address)
    page.keyboard.press("Escape")  # the tour of a first visit
    return Visitor(page)


def test_which_heads_believe_the_context_is_told_by_a_finished_run(visitor: Visitor) -> None:
    run = visitor.page.locator(".run", has_text="Context against memory").locator("h3 a").first
    visitor.click(run)
    answer = visitor.page.get_by_text("the 1 memory head (L23H4) switched off").first
    expect(answer).to_be_visible(timeout=WAIT)


def test_whether_a_text_is_recited(visitor: Visitor) -> None:
    planted = next(
        entry
        for entry in ledger.read(organisms.folder_of("organism/planted")).entries
        if entry.repeats == 64
    )
    page = visitor.page
    visitor.click(page.get_by_text("How much of this text can be pulled out of the model?").first)
    page.locator("#param-text textarea:visible").fill(planted.text)
    visitor.click(page.get_by_role("button", name="Quick").locator("visible=true"))
    visitor.click(page.locator("#run-extraction"))
    job = page.locator(".job").first
    expect(job).to_have_attribute("data-state", "done", timeout=WAIT)
    expect(job).to_contain_text("Greedy decoding reproduces")


def test_what_a_head_does(visitor: Visitor) -> None:
    page = visitor.page
    visitor.click(page.get_by_role("link", name="Try a prompt"))
    head = page.locator("[data-head=L1H2]")
    visitor.click(head)
    expect(head).to_have_attribute("aria-pressed", "true", timeout=WAIT)
    expect(page.locator("#answer")).to_contain_text("1 head off", timeout=WAIT)
    expect(page.locator("#answer .try .col")).to_have_count(2, timeout=WAIT)


def test_a_head_clicked_while_the_page_is_still_asking_stays_off(
    browser: Any, organism: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, clicked = Event(), Event()

    def slowly(model: Any, off: Any = (), *rest: Any) -> dict[str, Any]:
        if off is None and not arrived.is_set():
            arrived.set()
            assert clicked.wait(WAIT / 1000)
        return value_for(model, off, *rest)

    value_for = head_buttons.value_for
    monkeypatch.setattr(head_buttons, "value_for", slowly)
    with served(organism, tmp_path) as address:
        page = at_home(browser, address).page
        page.get_by_role("link", name="Try a prompt").click()
        head = page.locator("[data-head=L1H2]")
        head.wait_for()
        until(arrived.is_set)
        head.click()
        clicked.set()
        expect(page.locator("#answer")).to_contain_text("1 head off", timeout=WAIT)
        expect(head).to_have_attribute("aria-pressed", "true")


@pytest.mark.verify
@pytest.mark.model
def test_which_heads_believe_the_context_is_asked(
    browser: Any, smollm: Any, tmp_path: Path
) -> None:
    with served(smollm, tmp_path) as address:
        visitor = at_home(browser, address)
        page = visitor.page
        visitor.click(page.get_by_text("When my context contradicts what the model knows").first)
        visitor.click(page.get_by_role("button", name="Quick").locator("visible=true"))
        visitor.click(page.locator("#run-knowledge-conflict"))
        job = page.locator(".job").first
        expect(job).to_have_attribute("data-state", "done", timeout=MINUTES)
        visitor.click(job.get_by_role("link", name="Open in Explorer"))
        expect(page.get_by_role("button", name="Heads", exact=True)).to_be_visible(timeout=WAIT)
