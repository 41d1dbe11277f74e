"""A run's tabs drawn by two processes at once, for a report: drawing is Python, and takes one
processor however many there are.

This process draws from the first tab on, the other from the last one back, until they meet. The
other is this module: `python -m ui.runs.two_processes FOLDER` reads a title per line (JSON) and
answers each with its fragment, also on one line. What it does not answer is drawn here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ui.runs.static_views import Fragment, makers
from workbench.result import Result

FEWEST = 3
"""Tabs for which another process is worth its start."""


def fragments(result: Result) -> Iterator[tuple[str, Fragment]]:
    """Every view of a run by its title, without the tables that the run itself holds."""
    drawing = makers(result, own_tables=False)
    titles = deque(drawing)
    made: dict[str, Fragment] = {}
    if result.path is not None and len(drawing) >= FEWEST and processors() > 1:
        with _Other(result.path, titles, made):
            _draw(titles, drawing, made)
    for title, make in drawing.items():
        yield title, made[title] if title in made else make()


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _draw(titles: deque[str], drawing: Any, made: dict[str, Fragment]) -> None:
    """From the first one on, as long as the other process left any."""
    while titles:
        try:
            title = titles.popleft()
        except IndexError:  # the other one took it in this moment
            return
        made[title] = drawing[title]()


class _Other:
    """The other process, as long as the block lasts: it takes titles from the end.

    Leaving the block waits for what it is at; leaving it by an error ends it.
    """

    def __init__(self, folder: Path, titles: deque[str], made: dict[str, Fragment]) -> None:
        self._titles, self._made = titles, made
        command = [sys.executable, "-m", __name__, str(folder)]
        # In a session of its own: Ctrl-C is for whoever asked for the report.
        self._process = subprocess.Popen(
            command,
            text=True,
            encoding="utf-8",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            self._thread.join()
        self._process.kill()
        self._thread.join()
        self._process.communicate()

    def _ask(self) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()  # it has loaded what drawing needs
        while self._titles:
            try:
                title = self._titles.pop()
                process.stdin.write(json.dumps(title) + "\n")
                process.stdin.flush()
            except (IndexError, BrokenPipeError):
                return
            if not (line := process.stdout.readline()):
                return  # it is gone; the title is drawn by whoever reads `made`
            raw = json.loads(line)
            # It came as text, and a page escapes what is not marked as HTML.
            self._made[title] = Fragment(**{**raw, "html": Markup(raw["html"])})


def answer(folder: Path, lines: Iterable[str], out: Any) -> None:
    """What the process does: an empty line once it is ready, then for every title its fragment."""
    drawing = makers(Result.open(folder), own_tables=False)
    print(file=out, flush=True)
    for line in lines:
        print(json.dumps(asdict(drawing[json.loads(line)]())), file=out, flush=True)


if __name__ == "__main__":
    # What libraries print while they load must not stand between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    answer(Path(sys.argv[1]), sys.stdin, answers)
