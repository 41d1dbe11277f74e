"""The tabs of the Explorer: how each view of a run comes to its place on the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

import panel as pn
from markupsafe import Markup

from ui.explorer import compare
from ui.runs import answer, provenance, static_views
from ui.runs.render_cache import RenderCache
from workbench import draw, registry
from workbench.draw.figure import DRAWING, drawn, figure_of
from workbench.draw.view import View, flow_row, html_pane, live_part, live_picture, pictures
from workbench.errors import WorkbenchError
from workbench.result import Result

STILL_DRAWING = Markup('<p class="wb-says wb-small wb-drawing">Drawing …</p>')


@dataclass(frozen=True)
class Tab:
    """How one place is filled.

    Args:
        make: gives the Panel object.
        first: what is slow before that and needs no session, such as drawing; it is done in a
            thread.
        at_once: it costs next to nothing, and is made with the page.
    """

    make: Callable[[], Any]
    first: Callable[[], object] | None = None
    at_once: bool = False


def tab(drawings: RenderCache | None, result: Result, name: str, view: Any) -> Tab:
    """How a view of a run comes to its place."""
    path = result.path
    if drawings is None or path is None:
        return Tab(partial(live_part, view))
    if static_views.is_still(view):
        return Tab(
            partial(fetched, f"runs/{quote(path.name, safe='')}/views/{quote(name, safe='')}"),
            at_once=True,
        )
    live = view.live if isinstance(view, View) else None
    if live is None:  # a Panel object, which has its own way to the browser
        return Tab(partial(live_part, view))
    figures: list[Any] = []

    def drawn_already() -> None:
        figures[:] = [figure_of(picture) for picture in drawings.fragment(path, name).figures()]

    return Tab(lambda: live(figures), first=drawn_already)


def answer_tab(result: Result, views: Mapping[str, Any], page: bool) -> Tab | None:
    """The picture that carries the answer, and what it must be read against beside it."""
    lead = answer.lead_of(result)
    if lead.picture is None or lead.picture[0] not in views:
        return None
    name, number = lead.picture
    if isinstance(views[name], View) and views[name].why_not:
        return None
    beside = html_pane(
        Markup("<style>{}</style><h2>Read it against the control</h2>{}").format(
            Markup(provenance.CSS),
            Markup("").join(Markup('<p class="wb-beside">{}</p>').format(s) for s in lead.beside)
            if lead.beside
            else Markup(
                '<p class="wb-beside">This analysis names no single control; {}</p>'
            ).format(f"see the tab {name}."),
        ),
        styles={"flex": "1 1 260px", "min-width": "0"},
    )
    wide = {
        "styles": {"flex": "3 1 480px", "min-width": "0", "max-width": "100%"},
        "sizing_mode": "stretch_width",
    }
    if page and result.path is not None:
        run, view = (quote(text, safe="") for text in (result.path.name, name))
        place = pn.Column(fetched(f"runs/{run}/views/{view}?picture={number}"), **wide)
        return Tab(lambda: flow_row(place, beside, sizing_mode="stretch_width"), at_once=True)

    def drawing() -> Any:
        found = pictures(views[name])[number : number + 1]
        shown = map(live_picture, found) if found else [live_part(views[name])]
        inside = pn.Column(*shown, **wide)
        return flow_row(inside, beside, sizing_mode="stretch_width")

    return Tab(drawing)


def compared(
    drawings: RenderCache | None, makers: Mapping[str, Tab], mine: Result, other: Result
) -> dict[str, Tab]:
    """The tabs of two runs: what can be subtracted first, then every view of both side by
    side.
    """
    both = compare.view(mine, other)
    figures: list[Any] = []

    def subtracted() -> None:
        with DRAWING:
            figures[:] = [drawn(picture) for picture in pictures(both)]

    assert both.live is not None
    every = {"A − B": Tab(partial(both.live, figures), first=subtracted)}
    try:
        theirs = registry.get(other.analysis).views(other)
    except Exception as error:  # as in `views_of`
        sorry = view_error("The pictures of run B cannot be drawn here.", error)
        return {
            **every,
            **makers,
            "Run B": Tab(lambda: html_pane(sorry), at_once=True),
        }
    for name, a in makers.items():
        every[name] = (
            side_by_side(a, tab(drawings, other, name, theirs[name])) if name in theirs else a
        )
    return every


def fetched(address: str) -> Any:
    """A tab that the browser fetches and draws itself, see `views.js`."""
    place = Markup('<wb-view src="{}">{}</wb-view>').format(address, STILL_DRAWING)
    return html_pane(place, stylesheets=[static_views.CSS], min_width=0)


def side_by_side(mine: Tab, theirs: Tab) -> Tab:
    half = {"styles": {"flex": "1 1 420px"}, "min_width": 300, "sizing_mode": "stretch_width"}
    slow = [tab.first for tab in (mine, theirs) if tab.first is not None]

    def make() -> Any:
        columns = [
            pn.Column(
                html_pane(Markup(f"<h2>Run {name}</h2>")),
                tab.make(),
                css_classes=[f"wb-run-{name}"],  # pictures of both get one scale: same_scale.js
                **half,
            )
            for name, tab in (("A", mine), ("B", theirs))
        ]
        return flow_row(*columns, sizing_mode="stretch_width")

    def first() -> None:
        for one in slow:
            one()

    return Tab(make, first if slow else None, at_once=mine.at_once and theirs.at_once)


def view_error(what: str, error: Exception) -> Markup:
    """Why something cannot be shown, in words; the rest of the page stands."""
    reason = error.what if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}"
    return draw.empty_state(what, f"{reason} Findings and tables of the run are not affected.")


def not_shown(views: Mapping[str, Any]) -> dict[str, str]:
    """The views that have nothing to show, and why."""
    return {
        str(name): view.why_not
        for name, view in views.items()
        if isinstance(view, View) and view.why_not
    }


def views_of(result: Result) -> tuple[Mapping[str, Any], list[Markup]]:
    """The views of a run; if they cannot be made, none and a note that says why."""
    try:
        return registry.get(result.analysis).views(result), []
    except Exception as error:
        # a third party's views may raise anything; findings and tables are shown all the same
        told = f"The pictures of {result.analysis!r} cannot be drawn here."
        return {}, [view_error(told, error)]
