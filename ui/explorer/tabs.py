"""The tabs of the Explorer: how each view of a run comes to its place on the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from ui.explorer import data_views
from ui.runs import answer, provenance, static_views
from ui.runs.render_cache import RenderCache
from workbench import draw, registry
from workbench.draw.figure import figure_of
from workbench.draw.layout import narrow_column
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


@dataclass(frozen=True)
class Views:
    """The views of a run, and those that every run has.

    Args:
        problem: why its own cannot be made.
    """

    result: Result
    own: Mapping[str, Any]
    problem: Markup | None = None

    @property
    def hidden(self) -> dict[str, str]:
        """The views that have nothing to show, and why."""
        return {
            name: view.why_not
            for name, view in self.own.items()
            if isinstance(view, View) and view.why_not
        }

    def notes(self, whose: str = "") -> list[Markup]:
        """What is not shown, and why."""
        reasons = "; ".join(f"{name}: {reason}" for name, reason in self.hidden.items())
        said = f"{whose}Not shown – {reasons}."
        return [
            *([] if self.problem is None else [self.problem]),
            *([draw.paragraph(said, small=True)] if reasons else []),
        ]

    def tabs(self, drawings: RenderCache | None) -> dict[str, Tab]:
        """How each that has something to show comes to its place."""
        mine = {
            name: tab(drawings, self.result, name, view)
            for name, view in self.own.items()
            if name not in self.hidden
        }
        schema = data_views.schema_of(self.result)
        return mine | {
            view.title: Tab(partial(view.live, self.result, (), schema))
            for view in data_views.VIEWS
        }

    def settle(self) -> list[str]:
        """Forget what an address asks of the views and the run does not have; returns their names,
        as the address has them.
        """
        settles = {view.title: view.pick(self.result).settle for view in data_views.VIEWS}
        settles |= {name: view.settle for name, view in self.own.items() if isinstance(view, View)}
        selection = self.result.selection
        titles = {key.rpartition(".")[0] for key in selection.in_views}
        wrong = [f"{t}.{name}" for t in titles & settles.keys() for name in settles[t]()]
        known = {
            k: text for k, text in selection.in_views.items() if k.rpartition(".")[0] in settles
        }
        wrong += selection.in_views.keys() - known.keys()
        selection.in_views = known
        return sorted(wrong)


def views_of(result: Result) -> Views:
    """The views of a run; if they cannot be made, none and why."""
    try:
        views = registry.get(result.analysis).views(result)
        return Views(result, {str(name): view for name, view in views.items()})
    except Exception as error:
        # a third party's views may raise anything; findings and tables are shown all the same
        told = f"The pictures of {result.analysis!r} cannot be drawn here."
        return Views(result, {}, view_error(told, error))


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


def answer_tab(views: Views, page: bool) -> Tab | None:
    """The picture that carries the answer, and what it must be read against beside it."""
    result, lead = views.result, answer.lead_of(views.result)
    carries = lead.picture_among(views.own.keys() - views.hidden.keys())
    if carries is None:
        return None
    name, number = carries
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
    wide = {"styles": {"flex": "3 1 480px", "max-width": "100%"}}
    if page and result.path is not None:
        run, view = (quote(text, safe="") for text in (result.path.name, name))
        place = narrow_column(fetched(f"runs/{run}/views/{view}?picture={number}"), **wide)
        return Tab(lambda: flow_row(place, beside, sizing_mode="stretch_width"), at_once=True)

    def drawing() -> Any:
        found = pictures(views.own[name])[number : number + 1]
        shown = map(live_picture, found) if found else [live_part(views.own[name])]
        inside = narrow_column(*shown, **wide)
        return flow_row(inside, beside, sizing_mode="stretch_width")

    return Tab(drawing)


def fetched(address: str) -> Any:
    """A tab that the browser fetches and draws itself, see `views.js`."""
    place = Markup('<wb-view src="{}">{}</wb-view>').format(address, STILL_DRAWING)
    return html_pane(place, stylesheets=[static_views.CSS], min_width=0)


def view_error(what: str, error: Exception) -> Markup:
    """Why something cannot be shown, in words; the rest of the page stands."""
    reason = error.what if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}"
    return draw.empty_state(what, f"{reason} Findings and tables of the run are not affected.")
