"""The documentation at /docs: the site that `make docs` builds, and that travels in the wheel."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from workbench.errors import NotFound

SITE = Path(__file__).parents[1] / "static_docs"
"""Where `docs/build.py` puts it; a checkout has none before that."""


def mount(app: FastAPI, site: Path | None = None) -> None:
    """Serve the site at /docs; where it was not built, say how.

    Args:
        site: the folder of the built site; None is `SITE`.
    """
    site = SITE if site is None else site
    if (site / "index.html").is_file():
        app.mount("/docs", StaticFiles(directory=site, html=True), name="docs")
        return

    @app.get("/docs")
    @app.get("/docs/{page:path}")
    def not_built(page: str = "") -> None:
        raise NotFound(
            "The documentation was not built in this checkout.",
            str(site),
            "Run `make docs` and start the workbench again, or read the same pages in docs/.",
        )
