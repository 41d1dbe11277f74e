"""From a click to the last frame that it changed, in the Explorer: `python -m benchmarks.pages`.

    python -m benchmarks.pages [RUN ...] [--repeats 3]       default: capitals

Chromium reports every frame it paints, with the time; a click's answer has come when no frame
differs any more for a second and a half. All runs are drawn beforehand, as they are a minute or two
after the first start. The server is a process of its own, as it is for a person. Measure on an idle
machine: server, browser and this share its processors.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import workbench as wb
from ui.runs.drawn_files import key_of, of_this_machine
from ui.runs.render_cache import fingerprint
from workbench import registry
from workbench.runs import listing

AT_REST = 1.5
"""Seconds without a changed frame."""
LONGEST = 20.0
DRAWN = 600.0
AIMS = {"a tab": 250, "a head of the grid": 150, "a key": 150, "a row": 150, "another run": 500}
"""Milliseconds on an idle laptop."""


class Frames:
    """The frames of a page that differ from the one before."""

    def __init__(self, page: Any) -> None:
        self._page, self._last, self._changed = page, "", [0.0]
        self._session = page.context.new_cdp_session(page)
        self._session.on("Page.screencastFrame", self._frame)
        self._session.send("Page.startScreencast", {"format": "jpeg", "quality": 40})

    def _frame(self, event: dict[str, Any]) -> None:
        if event["data"] != self._last:
            self._last = event["data"]
            self._changed.append(event["metadata"]["timestamp"])
        self._session.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    def rest(self) -> float:
        """Wait until nothing changes; when the last change was, in seconds of the epoch."""
        began = time.time()
        while time.time() < max(began, self._changed[-1]) + AT_REST:
            self._page.wait_for_timeout(50)
            if time.time() > began + LONGEST:
                raise TimeoutError("the page does not come to rest")
        return self._changed[-1]

    def after(self, do: Callable[[], object]) -> float:
        """Milliseconds from doing something to the last frame that it changed."""
        self.rest()
        start = time.time()
        do()
        changed = self.rest()
        if changed < start:
            raise RuntimeError("nothing changed on the page")
        return 1000 * (changed - start)


@contextmanager
def workbench_ui(runs: str) -> Iterator[str]:
    """The address of `workbench ui` with an organism and a folder of runs."""
    code = "from workbench.cli import main; main()"
    options = ["--model", "organism/planted", "--runs", runs, "--port", "0", "--no-browser"]
    with subprocess.Popen(
        [sys.executable, "-c", code, "ui", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            found = (re.search(r"http://127\S+:\d+", line) for line in server.stdout)
            yield next(match[0] for match in found if match)
        finally:
            server.terminate()


def wait_until_drawn(runs: str) -> None:
    """Until the server has drawn every run that it lists."""
    drawn = of_this_machine()
    listed = [entry.path for entry in listing(Path(runs)) if not entry.problem]
    end = time.time() + DRAWN
    while not all(drawn.is_whole(key_of(str(path), fingerprint(path))) for path in listed):
        if time.time() > end:
            raise TimeoutError("the server does not draw its runs")
        time.sleep(1)


def press(page: Any, what: Any, at: tuple[float, float] = (0.5, 0.5)) -> Callable[[], None]:
    """What presses the mouse button over something, which the mouse stands on already."""
    what.scroll_into_view_if_needed()
    box = what.bounding_box()
    page.mouse.move(box["x"] + at[0] * box["width"], box["y"] + at[1] * box["height"])
    page.wait_for_timeout(300)

    def click() -> None:
        page.mouse.down()
        page.mouse.up()

    return click


def measured(page: Any, run: str, repeats: int) -> Iterator[tuple[str, float]]:
    """What was done, and how many milliseconds it took."""
    frames = Frames(page)

    def button(name: str) -> Any:
        return page.get_by_role("button", name=name, exact=True).locator("visible=true").first

    result = wb.open_run(run)
    tabs = [t for t in registry.get(result.analysis).views(result) if button(t).count()]
    for _ in range(repeats):
        for title in [*tabs, "Answer"]:
            yield "a tab", frames.after(press(page, button(title)))
    if "Heads" not in tabs:
        return
    frames.after(press(page, button("Heads")))
    grid = page.locator(".bk-Figure canvas:visible, canvas:visible").first
    for n in range(repeats):
        yield "a head of the grid", frames.after(press(page, grid, (0.3 + 0.1 * n, 0.4)))
        yield "a key", frames.after(press(page, button("↓")))
        row = page.locator(".tabulator-row:visible").nth(n)
        yield "a row", frames.after(press(page, row))
    runs = page.get_by_label("Run", exact=True)
    for n in range(repeats):
        yield "another run", frames.after(lambda n=n: runs.select_option(index=2 + n))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", default=["capitals"])
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    from tests.helpers.serving import chromium

    times: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        workbench_ui(folder) as address,
        chromium() as browser,
    ):
        wait_until_drawn(folder)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.context.add_cookies([{"name": "wb-tour", "value": "seen", "url": address}])
        for run in asked.runs:
            page.goto(f"{address}/explorer?run={run}")
            page.locator("wb-view[data-state=drawn]").first.wait_for(
                state="attached", timeout=120_000
            )
            for what, milliseconds in measured(page, run, asked.repeats):
                times.setdefault(what, []).append(milliseconds)
    print("| what is clicked | median ms | slowest | aim | n |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for what, values in times.items():
        middle, slowest = statistics.median(values), max(values)
        print(f"| {what} | {middle:.0f} | {slowest:.0f} | {AIMS[what]} | {len(values)} |")


if __name__ == "__main__":
    main()
