"""Uploaded files as paths: an analysis takes a path, whether the file was there or came from the
browser.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ui.jobs import UPLOADS

_UPLOADS = tempfile.TemporaryDirectory(prefix=UPLOADS)  # removed when the server ends


def in_one_folder(files: Sequence[str]) -> Path:
    """The uploaded files in one folder, under their own names; each upload lies in a folder of
    its own. Asked again for the same files, it is the same folder.
    """
    return _folder_of(tuple(files))


@cache  # a form asks with every change
def _folder_of(files: tuple[str, ...]) -> Path:
    # The run shows the folder's name, and nobody's temporary folders.
    called = f"{len(files)} uploaded files" if len(files) > 1 else "an uploaded file"
    folder = Path(tempfile.mkdtemp(dir=_UPLOADS.name)) / called
    folder.mkdir()
    for number, file in enumerate(map(Path, files)):
        target = folder / file.name
        shutil.copy2(file, target if not target.exists() else folder / f"{number}-{file.name}")
    return folder


def as_path(files: Sequence[str]) -> str:
    """One uploaded file by its path, several by that of their folder."""
    folder = in_one_folder(files)
    return str(next(folder.iterdir()) if len(files) == 1 else folder)
