"""Drawn tabs that are kept on disk: a run that was drawn once opens at once, also after a restart.

A run has a folder named after everything its pictures depend on: what lies in the run's folder, and
the source files they are drawn by. When one of these changes, so does the name, and the folder of
before is one of those that were not used for longest.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path

from ui.runs.static_views import Fragment
from workbench import paths, registry

KEPT_RUNS = 200
"""How many runs' tabs are kept: some 300 KB each."""
_WHOLE = "whole"
log = logging.getLogger(__name__)


class DrawnFiles:
    """A folder of drawn tabs. A cache that cannot be read or written only costs time.

    Args:
        folder: is made when something is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, key: str, title: str) -> Fragment | None:
        """A tab of a run, or None where it is not kept."""
        try:
            found = Fragment(**json.loads(self._file(key, title).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        with contextlib.suppress(OSError):  # where nothing can be written it is kept all the same
            os.utime(self._folder / key)
        return found

    def write(self, key: str, title: str, made: Fragment) -> None:
        """Keep a tab, whole or not at all; what failed is drawn again."""
        if made.failed:
            return
        try:
            file = self._file(key, title)
            is_new = not file.parent.is_dir()
            file.parent.mkdir(parents=True, exist_ok=True)
            handle, work = tempfile.mkstemp(dir=file.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(asdict(made), out)
            os.replace(work, file)
            if is_new:
                self._forget()
        except OSError:
            log.warning("%s was not kept in %s", title, self._folder, exc_info=True)

    def finish(self, key: str) -> None:
        """Note that all tabs of a run were drawn."""
        try:
            (self._folder / key / _WHOLE).touch()
        except OSError:
            log.warning("%s was not kept in %s", key, self._folder, exc_info=True)

    def is_whole(self, key: str) -> bool:
        """Whether all tabs of a run were drawn."""
        return (self._folder / key / _WHOLE).is_file()

    def _file(self, key: str, title: str) -> Path:
        return self._folder / key / f"{hashlib.sha256(title.encode()).hexdigest()[:16]}.json"

    def _forget(self) -> None:
        """Of too many runs those that were not used for longest."""
        used: dict[Path, float] = {}
        for folder in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another server forgets too
                used[folder] = folder.stat().st_mtime
        for folder in sorted(used, key=used.__getitem__, reverse=True)[KEPT_RUNS:]:
            shutil.rmtree(folder, ignore_errors=True)


def of_this_machine() -> DrawnFiles:
    """Those that servers on this machine share."""
    return DrawnFiles(paths.cache_dir() / "drawn")


def key_of(folder: str, content: str) -> str:
    """What names the tabs of a run.

    Args:
        folder: of the run, since two runs may have the same content.
        content: its fingerprint.
    """
    return hashlib.sha256(f"{folder}\n{content}\n{_sources()}".encode()).hexdigest()[:32]


@cache
def _sources() -> str:
    """Fingerprint of all that tabs are drawn by, as it was when this process first drew one: our
    source files, those of installed analyses, and versions of the libraries.
    """
    told = [f"{name} {version(name)}" for name in ("bokeh", "holoviews", "panel")]
    modules = {entry.module.partition(".")[0] for entry in entry_points(group=registry.GROUP)}
    for package in sorted(modules | {"analyses", "ui", "workbench"}):
        for file in _files_of(package):
            found = file.stat()
            told.append(f"{file} {found.st_size} {found.st_mtime_ns}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _files_of(package: str) -> Iterator[Path]:
    spec = find_spec(package)
    if spec is None:
        return
    for place in spec.submodule_search_locations or ():
        yield from sorted(file for file in Path(place).rglob("*") if file.suffix in (".py", ".css"))
    if spec.submodule_search_locations is None and spec.origin is not None:
        yield Path(spec.origin)
