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

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import panel as pn
from markupsafe import Markup

from ui.explorer import compare, parts, tabs
from ui.explorer.address import Address, Step
from ui.runs import provenance
from ui.runs.render_cache import RenderCache
from ui.web import style
from workbench import draw
from workbench.draw.view import (
    STYLES,
    flow_row,
    html_pane,
)
from workbench.errors import WorkbenchError
from workbench.result import Result
from workbench.runs import RunEntry, open_run
from workbench.selection import ADDRESSED

parts.warm_up()
MANY = 5
"""Runs beyond which one looks for a run by words."""


class Explorer:
    """One person's Explorer: the row that chooses runs, the page below it, and what links them.

    Args:
        runs: where to look for runs.
        query: what the address asks for: run, with, view, and what `Selection` holds.
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
        self._makers: dict[str, tabs.Tab] = {}
        self._slots: dict[str, Any] = {}  # one place per tab
        self._built: set[str] = set()
        self._asked: list[str] = []  # tabs to build, the next one first
        self.address = Address(self._follow)
        self._by_itself = False  # while what is chosen changes without anybody choosing
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
        views, notes = tabs.views_of(result)
        hidden = tabs.not_shown(views)
        self._makers = {
            str(name): tabs.tab(self._drawings, result, str(name), view)
            for name, view in views.items()
            if str(name) not in hidden
        }
        first = tabs.answer_tab(result, views, self._drawings is not None)
        if self._other is not None:
            self._makers = tabs.compared(self._drawings, self._makers, result, self._other)
        elif first is not None:
            self._makers = {"Answer": first, **self._makers}
        self._makers["All numbers"] = tabs.Tab(lambda: parts.all_numbers(result))
        self._makers["Tables"] = tabs.Tab(lambda: parts.tables(result))
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
        result.selection.param.watch(lambda *_: self._to_address("choose"), list(ADDRESSED))

    def _slot(self, name: str, tab: tabs.Tab, shown: bool) -> pn.Column:
        """The place of a tab.

        All places stand from the start: adding one later makes the browser lay out its neighbours
        again, at no width.
        """
        inside = self._made(name) if tab.at_once else html_pane(tabs.STILL_DRAWING)
        return pn.Column(inside, css_classes=[] if shown else ["wb-away"], **parts.WIDE)

    def _show(self, name: str | None) -> None:
        """A tab was chosen; the browser shows its place by itself."""
        if self._quiet or name not in self._makers:
            return
        if self._drawings is None:
            self._put(name)
        elif self._loaded:
            self._ask(name)
        self._to_address("go")

    def _made(self, name: str) -> Any:
        try:
            return self._makers[name].make()
        except Exception as error:  # one broken view must leave the page standing
            return html_pane(tabs.view_error(f"The view {name!r} cannot be drawn.", error))

    def _put(self, name: str) -> None:
        """Fill the place of a tab, now."""
        tab = self._makers[name]
        if name in self._built:
            return
        self._built.add(name)
        if self._drawings is None and tab.first is not None:
            tab.first()
        with parts.freeze_models(), self._unasked():  # a view may choose a head to begin with
            self._slots[name].objects = [self._made(name)]

    def prepare(self) -> None:
        """Once the page's text stands: build the tabs that are not there yet one by one, the
        visible one first.
        """
        self._loaded = True
        self._to_address("say")
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

    def _to_address(self, step: Step) -> None:
        """The address always says what is chosen, so that it can be copied as a link."""
        result = self._result
        if not self._loaded or self._drawings is None or result is None or result.path is None:
            return
        query = {"run": result.path.name, **result.selection.to_query(), "view": self._tabs.value}
        if self._other is not None and self._other.path is not None:
            query["with"] = self._other.path.name
        self.address.say(query, "say" if self._by_itself else step)

    def _follow(self, query: dict[str, str]) -> None:
        """Show what an address of before says."""
        runs = [
            r.path.name if r is not None and r.path is not None else ""
            for r in (self._result, self._other)
        ]
        self._query = query
        with self._unasked():
            if runs != [query.get("run", ""), query.get("with", "")]:
                self._fill(query.get("run", ""), query.get("with", ""))
                self._open(query.get("run", ""), query.get("with", ""))
            elif self._result is not None:
                self._result.selection.restore(query)
                asked = query.get("view", "")
                self._tabs.value = asked if asked in self._makers else next(iter(self._makers))

    @contextmanager
    def _unasked(self) -> Iterator[None]:
        """What is chosen inside is no step of the history."""
        self._by_itself = True
        try:
            yield
        finally:
            self._by_itself = False

    def __panel__(self) -> Any:
        """As a widget in a notebook, where there is no page around it."""
        return pn.Column(self.side, self.main, sizing_mode="stretch_width")
