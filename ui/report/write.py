"""A run as a file for others: HTML to read, PDF to print, a notebook to go on in, or a zip with
every number and picture. The name's ending says which.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from ui.report import html_file, notebook_file, pdf_file, zip_file
from workbench.errors import BadInput, WorkbenchError
from workbench.result import Result

FORMATS: dict[str, Callable[[Result], bytes]] = {
    ".html": lambda result: html_file.html(result).encode("utf-8"),
    ".pdf": pdf_file.pdf,
    ".ipynb": notebook_file.notebook,
    ".zip": zip_file.archive,
}


def write(result: Result, path: str | Path, force: bool = False) -> Path:
    """Write the report; whole or not at all.

    Raises:
        BadInput: a name that ends in none of `FORMATS`.
        WorkbenchError: the file exists (and not `force`) or cannot be written; for a PDF also that
            no Chromium is installed.
    """
    target = Path(path)
    make = FORMATS.get(target.suffix.lower())
    if make is None:
        raise BadInput(
            f"A report cannot be written as {target.name!r}.",
            f"a name that ends in {', '.join(FORMATS)}",
            "For example: -o report.html",
        )
    if target.exists() and not force:
        raise WorkbenchError(
            f"{target} exists already.",
            "a new file name",
            "Choose another -o, or allow overwriting with --force.",
        )
    content = make(result)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, work = tempfile.mkstemp(prefix=".writing-", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(work, 0o644)
            os.replace(work, target)
        finally:
            Path(work).unlink(missing_ok=True)
    except OSError as error:
        raise WorkbenchError(
            f"The report could not be written to {target}: {error.strerror or error}.",
            "a folder with free space that you may write to",
            f"Choose another place with -o FILE{target.suffix}, or make room.",
        ) from error
    return target
