"""The gallery at /runs: every finished run as a card, and the trash.

Filtering, comparing and what is done with a card happen in the browser (`static/gallery.js`,
`static/run_actions.js`); the routes behind it are in `ui/run_routes.py`.
"""

from __future__ import annotations

from markupsafe import Markup

from ui import grids, home
from ui.app_state import AppState
from ui.runs.cards import run_card
from ui.web import style
from workbench import run_trash
from workbench.errors import WorkbenchError


def page(app: AppState, *, hidden: bool = False, notice: WorkbenchError | None = None) -> str:
    """The whole page as HTML.

    Args:
        hidden: show the runs that were hidden, too.
        notice: shown on top, dismissible.
    """
    entries = app.entries()
    shown = [entry for entry in entries if hidden or not entry.labels.hidden]
    return home.render(
        "runs.html",
        active="runs",
        notice=Markup(style.message_html(notice)) if notice else None,
        runs=[run_card(entry) for entry in shown],
        analyses=sorted({entry.analysis for entry in shown if entry.analysis}),
        models=sorted({entry.model for entry in shown if entry.model}),
        hidden=sum(entry.labels.hidden for entry in entries),
        shows_hidden=hidden,
        trash=[run_card(entry) for entry in run_trash.trashed(app.root)],
        opens_folders=app.local_paths,
        job=app.jobs.running(),
        grids=grids.at_work(entries),
    )
