"""What a person says of a run: a title of their own, a note, whether it is pinned or hidden.

It lies in `labels.json` beside `result.json`, so that it goes wherever the folder goes. Of a run
that cannot or must not be written to (a sample run, a folder of somebody else) it lies among the
user's own runs instead. A file that cannot be understood costs
the labels, never the run.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from workbench import paths
from workbench.errors import BadInput, WorkbenchError
from workbench.run_titles import one_line
from workbench.unicode import check_unicode

FILE = "labels.json"
TITLE, NOTE = 200, 10_000
"""Characters at most."""
_LARGEST = 2**18
_LOST = "title, note and pin are left out."


@dataclass(frozen=True)
class Labels:
    """Args:
    title: instead of the one that the run was given; "" leaves that.
    note: free text.
    pinned: stands first in lists.
    hidden: is left out of lists (sample runs, which cannot be deleted).
    problem: why the labels that were kept cannot be read; "" where they can.
    """

    title: str = ""
    note: str = ""
    pinned: bool = False
    hidden: bool = False
    problem: str = ""


def read(folder: Path) -> Labels:
    """The labels of the run in a folder; the defaults where there are none."""
    try:
        beside = _elsewhere(folder)
        file = beside if beside.is_file() else folder / FILE
        if not file.is_file():
            return Labels()
        if file.stat().st_size > _LARGEST or file.is_symlink():
            return Labels(
                problem=f"{FILE} is no plain small file; title, note and pin are left out."
            )
        stored = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return Labels(problem=f"{FILE} is damaged; {_LOST}")
    if not isinstance(stored, dict):
        return Labels(problem=f"{FILE} holds no labels; {_LOST}")
    return Labels(
        one_line(_text(stored.get("title")), TITLE),
        _text(stored.get("note"))[:NOTE],
        stored.get("pinned") is True,
        stored.get("hidden") is True,
    )


def write(
    folder: Path,
    *,
    title: str | None = None,
    note: str | None = None,
    pinned: bool | None = None,
    hidden: bool | None = None,
) -> Labels:
    """Change what is given and leave the rest; the file is written whole or not at all.

    Raises:
        BadInput: a title or note that is too long or no valid text.
        WorkbenchError: it can be written nowhere.
    """
    changes: dict[str, Any] = {
        name: value
        for name, value in {
            "title": title if title is None else _checked(title, "title", TITLE),
            "note": note if note is None else _checked(note, "note", NOTE),
            "pinned": pinned,
            "hidden": hidden,
        }.items()
        if value is not None
    }
    if "title" in changes:
        changes["title"] = one_line(changes["title"], TITLE)
    labels = replace(read(folder), **changes, problem="")
    text = json.dumps({k: v for k, v in asdict(labels).items() if k != "problem"}, indent=1)
    beside = _elsewhere(folder)
    if not is_sample(folder):
        try:
            _replace(folder / FILE, text)
        except OSError:
            pass  # somebody else's folder: beside the user's own runs, then
        else:
            beside.unlink(missing_ok=True)
            return labels
    try:
        beside.parent.mkdir(parents=True, exist_ok=True)
        _replace(beside, text)
    except OSError as error:
        raise WorkbenchError(
            f"The labels of {folder.name!r} could not be written: {error.strerror or error}.",
            "a runs folder with free space that you may write to",
            "Make room, or choose another place with WORKBENCH_RUNS.",
        ) from error
    return labels


def is_sample(folder: Path) -> bool:
    """Whether the run came with the workbench."""
    place = folder.resolve().parent
    return any(place == samples.resolve() for samples in paths.sample_runs_dirs())


def _elsewhere(folder: Path) -> Path:
    """Where the labels lie that are not in the folder."""
    place = folder.resolve()
    key = hashlib.sha256(str(place).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    # Where sample runs are installed changes with every environment; their names do not.
    name = f"sample-{place.name}" if is_sample(folder) else key
    return paths.runs_dir() / ".labels" / f"{name}.json"


def _replace(file: Path, text: str) -> None:
    handle, work = tempfile.mkstemp(prefix=".labels-", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text + "\n")
        os.chmod(work, 0o644)  # like the rest of the folder, which is there to be passed on
        os.replace(work, file)
    except BaseException:
        Path(work).unlink(missing_ok=True)
        raise


def _checked(text: str, what: str, longest: int) -> str:
    check_unicode(text, f"The {what}")
    text = text.replace("\r\n", "\n").strip()
    if len(text) > longest:
        raise BadInput(
            f"The {what} has {len(text):,} characters.",
            f"at most {longest:,}",
            "Shorten it; a longer text can lie in the run's folder as a file of its own.",
        )
    return text


def _text(value: Any) -> str:
    """A stored text; half of a surrogate pair, which JSON can name and no page can hold, becomes
    a mark.
    """
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else ""
