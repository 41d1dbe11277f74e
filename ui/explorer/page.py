"""The Explorer: open a saved run, look at its views, and put two runs side by side.

It knows no analysis: tabs are whatever `registry.get(name).views(result)` gives. A view that fails,
or an analysis that is not installed here, leaves the page standing with findings and tables.
Nothing here touches a model.

On a page a tab whose still form is all there is (`static_views.is_still`) has no model in Python:
the browser fetches it, ahead of time, and draws it. The others are built once the page stands, with
pictures that are drawn already. All tabs have their places from the start, and going from one to
another only changes a class in the browser.

Importing this module loads Panel and HoloViews; nothing else imports it at its top.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import panel as pn
from markupsafe import Markup

from ui.explorer import compare, parts
from ui.runs import provenance, static_views
from ui.runs.render_cache import RenderCache
from ui.web import style
from workbench import draw, registry
from workbench.draw.figure import DRAWING, drawn, figure_of
from workbench.draw.view import (
    STYLES,
    View,
    flow_row,
    html_pane,
    live_part,
    pictures,
)
from workbench.errors import WorkbenchError
from workbench.result import Result
from workbench.runs import RunEntry, open_run

parts.warm_up()
MANY = 5
"""Runs beyond which one looks for a run by words."""


class Explorer:
    """One person's Explorer: the row that chooses runs, the page below it, and what links them.

    Args:
        runs: where to look for runs.
        query: what the address asks for: run, with, head, prompt, view.
        result: show this result; no list of runs is offered then.
        drawings: it is a page of its own, whose tabs are kept there and whose address follows what
            is chosen.
    """

    def __init__(
        self,
        runs: Path | None = None,
        query: Mapping[str, str] | None = None,
        *,
        result: Result | None = None,
        drawings: RenderCache | None = None,
    ) -> None:
        self._runs, self._drawings, self._query = runs, drawings, dict(query or {})
        self._entries: list[RunEntry] = [] if result is not None else parts.offered(runs, query)
        self._result: Result | None = result
        self._other: Result | None = None
        self._makers: dict[str, parts.Tab] = {}
        self._slots: dict[str, Any] = {}  # one place per tab
        self._built: set[str] = set()
        self._asked: list[str] = []  # tabs to build, the next one first
        self._location: Any = None  # the page's address, known once it is loaded
        self._working = False  # whether one of them is being built
        self._loaded = False  # whether the page stands in the browser
        self._quiet = False  # while the widgets are being filled, their events mean nothing
        self._tabs = pn.widgets.RadioButtonGroup(
            stylesheets=[STYLES, provenance.CSS, parts.ON_TOP], margin=(6, 0, 10, 0), **parts.WIDE
        )
        self._tabs.param.watch(lambda event: self._show(event.new), "value")
        self._content = pn.Column(stylesheets=[parts.PLACES], **parts.WIDE)
        self._tabs.jscallback(value=parts.SWITCH, args={"places": self._content})
        self._filter = pn.widgets.TextInput(
            name="Find a run", placeholder="model, analysis, date …", **parts.CHOOSER
        )
        self._choose = pn.widgets.Select(name="Run", **parts.CHOOSER)
        self._with = pn.widgets.Select(name="Compare with", **parts.CHOOSER)
        finder = [self._filter] if len(self._entries) > MANY else []
        self.side = flow_row(*finder, self._choose, self._with, sizing_mode="stretch_width")
        self.main = pn.Column(**parts.WIDE)
        if result is not None:
            self.side.visible = False
            self._arrange()
            return
        self.side.visible = bool(self._entries)
        self._fill(self._query.get("run", ""), self._query.get("with", ""))
        self._filter.param.watch(
            lambda event: self._fill(self._choose.value, self._with.value), "value_input"
        )
        for widget in (self._choose, self._with):
            widget.param.watch(
                lambda event: self._open(self._choose.value, self._with.value), "value"
            )
        self._open(self._query.get("run", ""), self._query.get("with", ""))

    # ---- choosing runs ---------------------------------------------------------------------------
    def _fill(self, run: str, other: str) -> None:
        """Offer the runs that match the filter, and choose these; what is open stays offered."""
        every = parts.matching(self._entries, self._filter.value_input or "", {run, other})
        self._quiet = True
        try:
            self._choose.param.update(
                options={"– choose a run –": "", **every},
                value=run if run in every.values() else "",
            )
            self._with.param.update(
                options={"– nothing –": "", **every}, value=other if other in every.values() else ""
            )
        finally:
            self._quiet = False

    def _open(self, run: str, other: str) -> None:
        """Open one run, or two to compare. What cannot be read becomes a message."""
        if self._quiet:
            return
        self._result = self._other = None
        if not run:
            self._empty()
            return
        try:
            self._result = (
                open_run(run, self._runs)
                if self._is_listed(run)
                else parts.unknown_run(run, self._entries)
            )
            if other:
                self._other = (
                    open_run(other, self._runs)
                    if self._is_listed(other)
                    else parts.unknown_run(other, self._entries)
                )
        except WorkbenchError as error:
            self.main.objects = [
                html_pane(
                    Markup("<style>{}</style>").format(Markup(style.css()))
                    + Markup(style.message_html(error, dismissible=False))
                )
            ]
            return
        self._result.selection.from_query(self._query)
        self._arrange()
        if self._drawings is not None:
            self._drawings.ahead(
                *(
                    r.path
                    for r in (self._result, self._other)
                    if r is not None and r.path is not None
                )
            )
        if self._loaded:
            self.prepare()

    def _is_listed(self, run: str) -> bool:
        # Only ids of the list are opened: an address comes from a stranger and must not name
        # folders elsewhere.
        return any(e.id == run for e in self._entries) or run == "latest"

    def _empty(self) -> None:
        if self._entries:
            words = draw.empty_state(
                "Choose a run.",
                f"{len(self._entries)} finished runs can be looked at; none needs its model.",
            )
        else:
            words = draw.empty_state(
                "There is no finished run yet.",
                "Run an analysis in the Playground, or: workbench run knowledge-conflict",
            )
        self.main.objects = [html_pane(words)]

    # ---- showing them ----------------------------------------------------------------------------
    def _arrange(self) -> None:
        """Both columns anew for the open run."""
        with parts.freeze_models():
            self._lay_out()
        self._show(self._tabs.value)

    def _lay_out(self) -> None:
        result = self._result
        assert result is not None
        views, notes = _views_of(result)
        hidden = _not_shown(views)
        self._makers = {
            str(name): self._tab(result, str(name), view)
            for name, view in views.items()
            if str(name) not in hidden
        }
        first = parts.answer_tab(result, views, self._drawings is not None)
        if self._other is not None:
            self._makers = self._compared(result, self._other)
        elif first is not None:
            self._makers = {"Answer": first, **self._makers}
        self._makers["All numbers"] = parts.Tab(lambda: parts.all_numbers(result))
        self._makers["Tables"] = parts.Tab(lambda: parts.tables(result))
        if hidden:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in hidden.items())
            notes.append(draw.paragraph(f"Not shown – {reasons}.", small=True))
        top = (
            parts.headline(result, self._drawings is not None)
            if self._other is None
            else html_pane(
                compare.headline(result, self._other)
                + parts.origin(result, self._drawings is not None)
            )
        )
        names = list(self._makers)
        asked = self._query.get("view", "")
        shown = asked if asked in names else names[0]
        self._slots = {
            name: self._slot(name, tab, name == shown) for name, tab in self._makers.items()
        }
        self._built = {name for name, tab in self._makers.items() if tab.at_once}
        self._asked = []
        self._content.objects = list(self._slots.values())
        self._quiet = True
        self._tabs.param.update(options=names, value=shown)
        self._quiet = False
        self.main.objects = [top, self._tabs, self._content, *(html_pane(n) for n in notes)]
        result.selection.param.watch(lambda *_: self._to_address(), ["head", "prompt"])

    def _slot(self, name: str, tab: parts.Tab, shown: bool) -> pn.Column:
        """The place of a tab.

        All places stand from the start: adding one later makes the browser lay out its neighbours
        again, at no width.
        """
        inside = self._made(name) if tab.at_once else html_pane(parts.STILL_DRAWING)
        return pn.Column(inside, css_classes=[] if shown else ["wb-away"], **parts.WIDE)

    def _tab(self, result: Result, name: str, view: Any) -> parts.Tab:
        """How a view of a run comes to its place."""
        drawings, path = self._drawings, result.path
        if drawings is None or path is None:
            return parts.Tab(partial(live_part, view))
        if static_views.is_still(view):
            return parts.Tab(
                partial(
                    parts.fetched, f"runs/{quote(path.name, safe='')}/views/{quote(name, safe='')}"
                ),
                at_once=True,
            )
        live = view.live if isinstance(view, View) else None
        if live is None:  # a Panel object, which has its own way to the browser
            return parts.Tab(partial(live_part, view))
        figures: list[Any] = []

        def drawn_already() -> None:
            figures[:] = [figure_of(picture) for picture in drawings.fragment(path, name).figures()]

        return parts.Tab(lambda: live(figures), first=drawn_already)

    def _compared(self, mine: Result, other: Result) -> dict[str, parts.Tab]:
        """The tabs of two runs: what can be subtracted first, then every view of both side by
        side.
        """
        both = compare.view(mine, other)
        figures: list[Any] = []

        def subtracted() -> None:
            with DRAWING:
                figures[:] = [drawn(picture) for picture in pictures(both)]

        assert both.live is not None
        tabs = {"A − B": parts.Tab(partial(both.live, figures), first=subtracted)}
        try:
            theirs = registry.get(other.analysis).views(other)
        except Exception as error:  # as in _arrange
            sorry = parts.view_error("The pictures of run B cannot be drawn here.", error)
            return {
                **tabs,
                **self._makers,
                "Run B": parts.Tab(lambda: html_pane(sorry), at_once=True),
            }
        for name, a in self._makers.items():
            tabs[name] = (
                parts.side_by_side(a, self._tab(other, name, theirs[name])) if name in theirs else a
            )
        return tabs

    def _show(self, name: str | None) -> None:
        """A tab was chosen; the browser shows its place by itself."""
        if self._quiet or name not in self._makers:
            return
        if self._drawings is None:
            self._put(name)
        elif self._loaded:
            self._ask(name)
        self._to_address()

    def _made(self, name: str) -> Any:
        try:
            return self._makers[name].make()
        except Exception as error:  # one broken view must leave the page standing
            return html_pane(parts.view_error(f"The view {name!r} cannot be drawn.", error))

    def _put(self, name: str) -> None:
        """Fill the place of a tab, now."""
        tab = self._makers[name]
        if name in self._built:
            return
        self._built.add(name)
        if self._drawings is None and tab.first is not None:
            tab.first()
        with parts.freeze_models():
            self._slots[name].objects = [self._made(name)]

    def prepare(self) -> None:
        """Once the page's text stands: build the tabs that are not there yet one by one, the
        visible one first.
        """
        self._loaded = True
        self._location = pn.state.location if self._drawings is not None else None
        self._to_address()
        self._asked = list(self._makers)
        self._ask(self._tabs.value)

    def _ask(self, name: str) -> None:
        """Build this tab before the others that are still to be built."""
        self._asked = [name, *(n for n in self._asked if n != name)]
        if not self._working:
            self._next()

    def _next(self) -> None:
        """Build the next tab: what is slow in a thread, the rest when this session is free
        again.
        """
        document, makers = pn.state.curdoc, self._makers
        self._asked = [name for name in self._asked if name in makers and name not in self._built]
        if document is None or document.session_context is None or not self._asked:
            return
        name = self._asked[0]
        self._working = True

        def slow() -> None:
            first = makers[name].first
            try:
                if first is not None:
                    first()
            finally:  # what went wrong comes up again where it is made, and is said there
                document.add_next_tick_callback(put)

        def put() -> None:
            self._working = False
            if self._makers is makers:  # another run may have been opened meanwhile
                self._put(name)
            document.add_timeout_callback(
                self._next, 50
            )  # what was clicked meanwhile is answered first

        Thread(target=slow, name="explorer", daemon=True).start()

    def _to_address(self) -> None:
        """The address always says what is chosen, so that it can be copied as a link."""
        if self._location is None or self._result is None or self._result.path is None:
            return
        query = {
            "run": self._result.path.name,
            **self._result.selection.to_query(),
            "view": self._tabs.value,
        }
        if self._other is not None and self._other.path is not None:
            query["with"] = self._other.path.name
        self._location.update_query(**query)

    def __panel__(self) -> Any:
        """As a widget in a notebook, where there is no page around it."""
        return pn.Column(self.side, self.main, sizing_mode="stretch_width")


def _not_shown(views: Mapping[str, Any]) -> dict[str, str]:
    """The views that have nothing to show, and why."""
    return {
        str(name): view.why_not
        for name, view in views.items()
        if isinstance(view, View) and view.why_not
    }


def _views_of(result: Result) -> tuple[Mapping[str, Any], list[Markup]]:
    """The views of a run; if they cannot be made, none and a note that says why."""
    try:
        return registry.get(result.analysis).views(result), []
    except Exception as error:
        # a third party's views may raise anything; findings and tables are shown all the same
        told = f"The pictures of {result.analysis!r} cannot be drawn here."
        return {}, [parts.view_error(told, error)]
