"""The tabs of two runs: what can be subtracted, then every view of both side by side."""

from __future__ import annotations

from functools import partial
from typing import Any

from markupsafe import Markup

from ui.explorer import compare, data_views
from ui.explorer.tabs import Tab, Views
from ui.runs.render_cache import RenderCache
from workbench import draw
from workbench.draw.figure import DRAWING, drawn
from workbench.draw.layout import narrow_column
from workbench.draw.view import flow_row, html_pane, pictures


def tabs(drawings: RenderCache | None, mine: Views, theirs: Views) -> dict[str, Tab]:
    """Every tab of either run by its title."""
    both = compare.view(mine.result, theirs.result)
    figures: list[Any] = []

    def subtracted() -> None:
        with DRAWING:
            figures[:] = [drawn(picture) for picture in pictures(both)]

    assert both.live is not None
    runs = [("A", mine, mine.tabs(drawings)), ("B", theirs, theirs.tabs(drawings))]
    last = [view.title for view in data_views.VIEWS]
    found = dict.fromkeys(title for _, _, of_run in runs for title in of_run)
    titles = [*(title for title in found if title not in last), *last]
    return {
        "A − B": Tab(partial(both.live, figures), first=subtracted),
        **{title: _beside(title, runs) for title in titles},
    }


def _beside(title: str, runs: list[tuple[str, Views, dict[str, Tab]]]) -> Tab:
    """One view of both; where only one run has it, it takes the whole width."""
    shown = [(key, of_run[title]) for key, _, of_run in runs if title in of_run]
    lacking = [
        draw.paragraph(_reason(key, title, views), small=True)
        for key, views, of_run in runs
        if title not in of_run
    ]
    slow = [tab.first for _, tab in shown if tab.first is not None]

    def make() -> Any:
        halves = [
            narrow_column(
                html_pane(Markup("<h2>Run {}</h2>{}").format(key, Markup("").join(lacking))),
                tab.make(),
                css_classes=[f"wb-run-{key}"],  # pictures of both get one scale: same_scale.js
                styles={"flex": "1 1 420px"},
            )
            for key, tab in shown
        ]
        return flow_row(*halves, sizing_mode="stretch_width")

    def first() -> None:
        for one in slow:
            one()

    return Tab(make, first if slow else None, at_once=all(tab.at_once for _, tab in shown))


def _reason(key: str, title: str, views: Views) -> str:
    if views.problem is not None:
        return f"Run {key} has no pictures here; why stands below."
    reason = views.hidden.get(title, "its analysis has no such view")
    return f"Run {key} has nothing beside it: {reason}."
