"""Tabs that are drawn already: kept for the Explorer's page, and drawn ahead by a process of low
priority.

    drawings = RenderCache()
    drawings.ahead(folder)              # when there is time
    drawings.fragment(folder, "Rates")  # now; drawn here if it is not kept yet

The process is this module: `python -m ui.runs.render_cache` reads one folder per line (JSON) and
answers with one line per tab and an empty one at the end. It ends with its standard input, so it
cannot outlive the server.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ui.runs.drawn_files import DrawnFiles, key_of
from ui.runs.static_views import Fragment, fragment, fragments
from workbench import registry
from workbench.draw.figure import DRAWING
from workbench.errors import NotFound
from workbench.result import Result

KEPT_RUNS = 12
"""How many runs' tabs are kept in memory: some 300 KB each."""
log = logging.getLogger(__name__)


def fingerprint(folder: Path) -> str:
    """Of what lies in a run's folder now: changes when the run is written again; "" if there is no
    run.

    The index is read; of tables and arrays, size and time of the last change are enough.
    """
    try:
        key = hashlib.sha256((folder / "result.json").read_bytes())
        for file in sorted([*(folder / "tables").glob("*.parquet"), *folder.glob("*.safetensors")]):
            key.update(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}".encode())
    except OSError:
        return ""
    return key.hexdigest()[:32]


class RenderCache:
    """What is drawn, of the runs that were looked at or drawn ahead last.

    May be asked from any thread.

    Args:
        files: where more is kept than in memory, and for longer than this process lives.
    """

    def __init__(self, files: DrawnFiles | None = None) -> None:
        self._files = files
        self._kept: OrderedDict[tuple[str, str], dict[str, Fragment]] = OrderedDict()
        self._changed = threading.Condition()
        self._asked: deque[Path] = deque()
        self._worker: threading.Thread | None = None
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def fragment(self, folder: Path, title: str) -> Fragment:
        """One tab of the run in a folder, as its content is now.

        Raises:
            NotFound: the run has no view of that title.
            BadRun: the run cannot be read.
        """
        key = str(folder), fingerprint(folder)
        found = self._look(key, title)
        if found is None:
            with DRAWING:
                found = self._look(
                    key, title
                )  # somebody else may have drawn it while this one waited
                if found is None:
                    result = Result.open(folder)
                    views = {
                        str(name): view
                        for name, view in registry.get(result.analysis).views(result).items()
                    }
                    if title not in views:
                        raise NotFound.named("view", title, list(views))
                    found = fragment(title, views[title])
                    self._keep(key, title, found)
        return found

    def ahead(self, *folders: Path) -> None:
        """Draw every tab of these runs when there is time, the first one first."""
        with self._changed:
            if self._stopped:
                return
            for folder in reversed(folders):
                if folder in self._asked:
                    self._asked.remove(folder)
                self._asked.appendleft(folder)
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, name="drawings", daemon=True)
                self._worker.start()
            self._changed.notify_all()

    def stop(self) -> None:
        """End the process, whatever it is at."""
        with self._changed:
            self._stopped = True
            if self._process is not None:
                self._process.terminate()
            self._changed.notify_all()

    def _look(self, key: tuple[str, str], title: str) -> Fragment | None:
        with self._changed:
            if key in self._kept:
                self._kept.move_to_end(key)
            found = self._kept.get(key, {}).get(title)
        if found is None and self._files is not None and key[1]:
            found = self._files.read(key_of(*key), title)
            if found is not None:
                self._remember(key, title, found)
        return found

    def _keep(self, key: tuple[str, str], title: str, made: Fragment) -> None:
        self._remember(key, title, made)
        if self._files is not None and key[1]:
            self._files.write(key_of(*key), title, made)

    def _remember(self, key: tuple[str, str], title: str, made: Fragment) -> None:
        with self._changed:
            self._kept.setdefault(key, {})[title] = made
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT_RUNS:
                self._kept.popitem(last=False)

    def _next(self, *, wait: bool) -> Path | None:
        while True:
            with self._changed:
                while wait and not self._asked and not self._stopped:
                    self._changed.wait()
                if self._stopped or not self._asked:
                    return None
                folder = self._asked.popleft()
            if not self._is_drawn(folder):
                return folder

    def _is_drawn(self, folder: Path) -> bool:
        if self._files is None:
            return False
        content = fingerprint(folder)
        return bool(content) and self._files.is_whole(key_of(str(folder), content))

    def _work(self) -> None:
        """One process as long as there is something to draw; an idle one would hold its memory
        for nothing.
        """
        while (folder := self._next(wait=True)) is not None:
            command = [sys.executable, "-m", "ui.runs.render_cache"]
            # In a session of its own: Ctrl-C is for the server, which ends it.
            pipes: dict[str, Any] = {
                "stdin": subprocess.PIPE,
                "stdout": subprocess.PIPE,
                "start_new_session": True,
            }
            with subprocess.Popen(command, text=True, encoding="utf-8", **pipes) as process:
                with self._changed:
                    self._process = process
                while folder is not None and self._one(process, folder):
                    folder = self._next(wait=False)
                with self._changed:
                    self._process = None

    def _one(self, process: subprocess.Popen[str], folder: Path) -> bool:
        """Have one run drawn; False if the process is gone."""
        assert process.stdin is not None
        assert process.stdout is not None
        key = str(folder), fingerprint(folder)
        try:
            process.stdin.write(json.dumps(str(folder)) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return False
        for line in process.stdout:
            if line == "\n":
                if self._files is not None and key[1]:
                    self._files.finish(key_of(*key))
                return True
            title, made = json.loads(line)
            self._keep(key, title, Fragment(**made))
        return False


def answer(lines: Iterable[str], out: Any) -> None:
    """What the process does: for every line a folder, out come its tabs, one a line, and an
    empty line.
    """
    for line in lines:
        folder = Path(json.loads(line))
        try:
            for title, made in fragments(Result.open(folder)):
                print(json.dumps([title, asdict(made)]), file=out, flush=True)
        except BrokenPipeError:
            return  # the server is gone
        except Exception:
            # Whoever opens such a run is told what is wrong with it; here it must not cost the next
            # ones.
            log.warning("%s was not drawn ahead", folder, exc_info=True)
        print(file=out, flush=True)


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(15)
    # What libraries print while they load must not stand between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    answer(sys.stdin, answers)
