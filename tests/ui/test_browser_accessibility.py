"""Every page and state, looked at by axe: nothing that keeps a person with a screen reader or a
keyboard out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers.serving import served
from tests.helpers.synthetic import synthetic_result

pytestmark = pytest.mark.browser
TABS = ("Answer", "Rates", "Heads", "Depth", "Facts", "Dial", "How many heads", "All numbers")


@pytest.fixture(scope="module")
def address(llama: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("runs")
    synthetic_result().save(root / "small")
    synthetic_result(seed=2).save(root / "other")
    with served(llama, root) as address:
        yield address


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def page(theme: str, browser: Any) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme=theme)
    yield opened
    opened.close()


def serious(page: Any) -> list[str]:
    """What axe calls serious or critical, as "rule: element"."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:200]} {node.get('failureSummary')}"
        for rule in found
        if rule["impact"] in {"serious", "critical"}
        for node in rule["nodes"]
    ]


def test_home_runs_the_picker_of_models_and_a_page_that_is_not_there(
    page: Any, address: str
) -> None:
    for path in ("", "nowhere"):
        page.goto(f"{address}/{path}")
        page.wait_for_load_state("domcontentloaded")
        assert not serious(page), path
    page.goto(f"{address}/runs")
    page.locator("article.run summary").first.click()
    assert not serious(page), "the menu of a run"
    page.keyboard.press("Escape")
    page.locator(".wb-model").click()
    page.get_by_role("dialog", name="Choose a model").wait_for()
    assert not serious(page), "the picker of models"


def test_the_explorer_on_every_tab(page: Any, address: str, theme: str) -> None:
    page.goto(f"{address}/explorer?run=small")
    page.locator("canvas:visible").first.wait_for(timeout=60_000)
    for name in TABS if theme == "light" else ("Answer", "Heads", "All numbers"):
        page.get_by_role("button", name=name, exact=True).click()
        page.locator(".wb-drawing:visible").first.wait_for(state="hidden", timeout=60_000)
        page.wait_for_timeout(500)
        assert not serious(page), name


def test_two_runs_compared(page: Any, address: str, theme: str) -> None:
    page.goto(f"{address}/explorer?run=small&with=other")
    page.get_by_text("all three on one scale").wait_for(timeout=60_000)
    for name in ("A − B", "Heads", "Tables") if theme == "light" else ("A − B",):
        page.get_by_role("button", name=name, exact=True).click()
        page.locator(".wb-drawing:visible").first.wait_for(state="hidden", timeout=60_000)
        page.wait_for_timeout(500)
        assert not serious(page), name


def test_the_playground_on_every_tab(page: Any, address: str) -> None:
    page.goto(f"{address}/playground/")
    tabs = page.get_by_role("tab")
    tabs.first.wait_for(timeout=60_000)
    for n in range(tabs.count()):
        tabs.nth(n).click()
        page.wait_for_timeout(500)
        assert not serious(page), tabs.nth(n).inner_text()
    page.goto(f"{address}/playground/?analysis=knowledge-conflict")
    page.get_by_role("button", name="Run", exact=True).locator("visible=true").wait_for()
    assert not serious(page), "a form"
