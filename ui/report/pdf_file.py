"""The report on paper: an installed Chromium prints the HTML, and no network is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from ui.report import html_file
from workbench.errors import WorkbenchError
from workbench.result import Result

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
)
_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
_SECONDS = 180


def browser() -> str | None:
    """The Chromium of this machine: `WORKBENCH_CHROMIUM`, else what is installed; None if none."""
    named = os.environ.get("WORKBENCH_CHROMIUM")
    found = (shutil.which(name) for name in ([named] if named else NAMES))
    return next(
        (path for path in found if path),
        next((place for place in _PLACES if not named and os.path.exists(place)), None),
    )


def pdf(result: Result) -> bytes:
    """The report as a PDF document, A4.

    Raises:
        WorkbenchError: no Chromium on this machine, or it prints nothing.
    """
    program = browser()
    if program is None:
        raise WorkbenchError(
            "A PDF is printed by Chromium, Chrome or Edge, and none is installed here.",
            "one of them on the path, or its place in the environment variable WORKBENCH_CHROMIUM",
            "Install one, or write -o report.html and print it from any browser.",
        )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page, paper = Path(folder) / "report.html", Path(folder) / "report.pdf"
        page.write_text(html_file.html(result), encoding="utf-8")
        said = _print(program, page, paper, Path(folder) / "profile")
        if not paper.is_file():
            raise WorkbenchError(
                f"{program} printed nothing. {said}",
                "a PDF file",
                "Write -o report.html and print it from a browser.",
            )
        return paper.read_bytes()


def _print(program: str, page: Path, paper: Path, profile: Path) -> str:
    """Print a page; what the program said last."""
    arguments = [
        "--headless",
        "--disable-gpu",
        "--no-pdf-header-footer",
        "--host-resolver-rules=MAP * ~NOTFOUND",  # nothing in a report may reach for the network
        f"--user-data-dir={profile}",  # a browser that is open already must not take the call
        f"--print-to-pdf={paper}",
        page.as_uri(),
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        arguments.insert(0, "--no-sandbox")  # Chromium starts for root in no other way
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"It was stopped after {_SECONDS} s."
    except OSError as error:
        return f"It does not start: {error.strerror or error}."
    return (done.stderr.strip().splitlines() or [""])[-1]
