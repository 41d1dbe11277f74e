"""The whole server in a thread, and a browser to drive it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.waiting import until

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


@contextmanager
def served(model: Any, runs: Path, *, draws_ahead: bool = False, **options: Any) -> Iterator[str]:
    """The address of a server with this model and these runs; it has stopped when the block is
    left.

    Args:
        draws_ahead: another process draws the tabs of all runs, also those that ship, while nothing
            is asked: minutes of a processor, for tests of just that.
    """
    with contextlib.ExitStack() as stack:
        if not draws_ahead:
            stack.enter_context(nothing_drawn_ahead())
        yield stack.enter_context(_served(model, runs, options))


@contextmanager
def _served(model: Any, runs: Path, options: dict[str, Any]) -> Iterator[str]:
    import uvicorn

    from ui.server import build

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            build(model, runs, **options), log_level="warning", timeout_graceful_shutdown=1
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        until(lambda: server.started or not thread.is_alive())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)
        listening.close()


@contextmanager
def nothing_drawn_ahead() -> Iterator[None]:
    """Within it tabs are drawn when they are asked for, and by no other process."""
    from ui.runs.render_cache import RenderCache

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RenderCache, "ahead", lambda self, *folders: None)
        yield


@contextmanager
def little_drawn() -> Iterator[None]:
    """Within it the report of a run is drawn once, however often it is asked for, and nothing is
    drawn ahead in another process: for tests of who gets what, whose runs do not change.
    """
    from ui.report import html_file

    drawn: dict[str, str] = {}
    draw = html_file.html

    def html(result: Any) -> str:
        place = str(result.path)
        if place not in drawn:
            drawn[place] = draw(result)
        return drawn[place]

    with pytest.MonkeyPatch.context() as patch, nothing_drawn_ahead():
        patch.setattr(html_file, "html", html)
        yield


@contextmanager
def chromium() -> Iterator[Any]:
    """Playwright's browser; where there is none the test is skipped, and says why."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright, which `pip install .[dev]` brings"
    )
    found = (
        os.environ.get("WORKBENCH_CHROMIUM")
        or shutil.which("chromium")
        or shutil.which("google-chrome")
    )
    if not found:
        pytest.skip("no Chromium on this machine: `make chromium` installs it")
    api.expect.set_options(timeout=60_000)  # machines of tests are slow and shared
    with api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=found, args=_ARGUMENTS)
        try:
            yield opened
        finally:
            opened.close()
