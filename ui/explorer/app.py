"""The Explorer as the server mounts it: one page for each session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import panel as pn

from ui.explorer import parts
from ui.explorer.page import Explorer
from ui.runs.render_cache import RenderCache
from ui.web import style

SCRIPTS = (
    "workbench",
    "models",
    "tables",
    "grid_roles",
    "pictures",
    "same_scale",
    "views",
    "run_actions",
)


def application(runs: Path | None, drawings: RenderCache) -> Callable[[], Any]:
    """What the server mounts at /explorer: called once per session, it gives that session's page.

    Args:
        runs: the folder of runs; None is the user's. Sample runs are listed too.
        drawings: where tabs are drawn and kept; the server gives them at /runs/RUN/views/TITLE.
    """

    def page() -> Any:
        # Panel's files lie beside the page. It would count slashes, those of a path that a proxy
        # puts in front too.
        pn.state.rel_path = ""
        args = pn.state.session_args
        query = {
            key: values[0].decode("utf-8", "replace") for key, values in args.items() if values
        }
        explorer = Explorer(runs, query, drawings=drawings)
        text = (style.TEMPLATES / "explorer.html").read_text(encoding="utf-8")
        template = pn.Template(text)
        template.add_variable("page_title", parts.page_title(runs, query))
        sheets = (style.STATIC / f"{name}.css" for name in ("explorer", "run_actions"))
        template.add_variable(
            "page_css", style.css() + "".join(sheet.read_text(encoding="utf-8") for sheet in sheets)
        )
        template.add_variable("page_js", "\n".join(style.script(f"{name}.js") for name in SCRIPTS))
        template.add_variable("page_header", style.header_html("explorer"))
        template.add_panel("side", explorer.side)
        template.add_panel("main", explorer.main)
        template.add_panel("address", explorer.address.panel)
        pn.state.onload(explorer.prepare)
        return template

    return page
