"""One number that says whether a run is still what it was: the SHA-256 of its files.

It is what the usual tools give, so nobody needs the workbench to check it:

    cd RUN
    sha256sum result.json tables/*.parquet arrays.safetensors | LC_ALL=C sort -k2 | sha256sum

Title, note and pin (`labels.json`) may change and are no part of it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from workbench import remote
from workbench.errors import BadRun

_PIECE = 1 << 20


def checksum(folder: Path) -> str:
    """64 hexadecimal digits.

    Raises:
        BadRun: no run lies there, or a file of it cannot be read.
    """
    files = sorted(
        (file for pattern in remote.RUN for file in folder.glob(pattern)),
        key=lambda file: file.relative_to(folder).as_posix(),
    )
    if not (folder / "result.json").is_file():
        raise BadRun(
            f"{folder} is not a run folder: it has no result.json.",
            "a folder that a run was saved in",
            "Check the path.",
        )
    whole = hashlib.sha256()
    try:
        for file in files:
            line = f"{_of_file(file)}  {file.relative_to(folder).as_posix()}\n"
            whole.update(line.encode())
    except OSError as error:
        raise BadRun(
            f"{error.filename} cannot be read: {error.strerror or error}.",
            "a run whose files you may read",
            "Check it.",
        ) from error
    return whole.hexdigest()


def _of_file(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
