"""The Explorer in a real browser: linked views, the keyboard, hostile text, and nothing from elsewhere."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ui.synthetic import synthetic_result

pytestmark = pytest.mark.browser
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import uvicorn
    from fastapi import FastAPI
    from panel.io.fastapi import add_applications

    from ui.explorer import application

    root = tmp_path_factory.mktemp("runs")
    synthetic_result().save(root / "small")
    synthetic_result(hostile=True).save(root / "hostile")
    app = FastAPI()
    add_applications({"/explorer": application(Path(root))}, app=app)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/explorer"
    server.should_exit = True
    thread.join(5)


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=ARGS)
        opened = browser.new_page(viewport={"width": 1440, "height": 1400})
        elsewhere: list[str] = []

        def only_here(route: Any) -> None:
            here = route.request.url.startswith(("http://127.0.0.1", "data:", "blob:"))
            if not here:
                elsewhere.append(route.request.url)
            route.continue_() if here else route.abort()

        opened.route("**/*", only_here)
        yield opened
        assert not elsewhere
        browser.close()


def test_a_click_chooses_a_head_and_the_address_follows(page: Any, address: str) -> None:
    page.goto(f"{address}?run=small&view=Heads")
    page.locator("canvas").first.wait_for()
    page.get_by_role("button", name="↓").click()
    page.get_by_role("button", name="Choose").click()
    page.wait_for_url("**head=L5H1**")
    page.locator("h3:visible", has_text="L5H1").wait_for()
    line = page.locator(".pad")
    line.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url("**head=L3H1**")


def test_hostile_text_runs_nowhere(page: Any, address: str) -> None:
    page.goto(f"{address}?run=hostile&view=Facts")
    page.locator(".tabulator-row").first.wait_for()
    for tab in ("Rates", "Heads", "Tables"):
        page.get_by_role("button", name=tab, exact=True).click()
        page.wait_for_timeout(900)
    page.mouse.move(900, 900)
    page.wait_for_timeout(300)
    assert page.evaluate("window.pwned") is None
