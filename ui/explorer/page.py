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

from ui.explorer import address, compare, parts, side_by_side, tabs
from ui.explorer.address import Address, Step
from ui.runs import provenance
from ui.runs.render_cache import RenderCache
from ui.web import style
from workbench import draw
from workbench.draw.layout import narrow_column
from workbench.draw.view import NARROW, STYLES, flow_row, html_pane
from workbench.errors import WorkbenchError
from workbench.result import Result
from workbench.run_titles import cut
from workbench.runs import RunEntry, open_run
from workbench.selection import ADDRESSED

parts.warm_up()


MANY = 5
"""Runs beyond which one looks for a run by words."""


def _id(run: Result | None) -> str:
    """What an address calls a run; "" for none, and for one that lies nowhere."""
    return run.path.name if run is not None and run.path is not None else ""


class Explorer:
    """One person's Explorer: the row that chooses runs, the page below it, and what links them.

    Args:
        runs: where to look for runs.
        query: what the address asks for: run, with, view, and what `Selection` holds of either run.
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
        self._asked_for = ("", "")  # which runs, also where they cannot be read
        self._makers: dict[str, tabs.Tab] = {}
        self._slots: dict[str, Any] = {}  # one place per tab
        self._built: set[str] = set()
        self._asked: list[str] = []  # tabs to build, the next one first
        self.address = Address(self._follow)
        self._addressed = True  # whether an address asked for what is open
        self._views: list[tabs.Views] = []  # of the open runs
        self._by_itself = False  # while what is chosen changes without anybody choosing
        self._working = False  # whether one of them is being built
        self._loaded = False  # whether the page stands in the browser
        self._quiet = False  # while the widgets are being filled, their events mean nothing
        self._tabs = pn.widgets.RadioButtonGroup(
            stylesheets=[STYLES, provenance.CSS, parts.ON_TOP],
            margin=(6, 0, 10, 0),
            sizing_mode="stretch_width",
        )
        self._tabs.param.watch(lambda event: self._show(event.new), "value")
        self._content = narrow_column(stylesheets=[NARROW, parts.PLACES])
        self._tabs.jscallback(value=parts.SWITCH, args={"places": self._content})
        self._filter = pn.widgets.TextInput(
            name="Find a run", placeholder="model, analysis, date …", **parts.CHOOSER
        )
        self._choose = pn.widgets.Select(name="Run", css_classes=["wb-run"], **parts.CHOOSER)
        self._with = pn.widgets.Select(name="Compare with", **parts.CHOOSER)
        finder = [self._filter] if len(self._entries) > MANY else []
        self.side = flow_row(*finder, self._choose, self._with, sizing_mode="stretch_width")
        self.main = narrow_column()
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
            widget.param.watch(lambda event: self._chosen(), "value")
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

    def _chosen(self) -> None:
        """Open what was chosen; of a run that stays, what is chosen in it stays too."""
        if self._quiet:
            return
        run, other = self._choose.value, self._with.value
        mine = self._result if run == _id(self._result) else None
        theirs = self._other if other == _id(self._other) else None
        self._query = {"view": self._tabs.value or "", **address.as_text(mine, theirs)}
        self._addressed = False
        self._open(run, other)

    def _open(self, run: str, other: str) -> None:
        """Open one run, or two to compare. What cannot be read becomes a message."""
        self._asked_for = (run, other if run else "")
        self._result = self._other = None
        if not run:
            self._empty()
            self._to_address("go")
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
            self._to_address("go")
            return
        for result, query in address.by_run(self._query, self._result, self._other):
            result.selection.from_query(query)
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
        result, other = self._result, self._other
        assert result is not None
        page = self._drawings is not None
        views = [tabs.views_of(run) for run in (result, other) if run is not None]
        if other is None:
            lead = tabs.answer_tab(views[0], page)
            first = {} if lead is None else {"Answer": lead}
            self._makers = {**first, **views[0].tabs(self._drawings)}
            top, notes = parts.headline(result, page), views[0].notes()
        else:
            self._makers = side_by_side.tabs(self._drawings, *views)
            top = html_pane(compare.headline(result, other, page))
            notes = [*views[0].notes("Run A: "), *views[1].notes("Run B: ")]
        names = list(self._makers)
        asked = self._query.get("view", "")
        shown = asked if asked in names else names[0]
        self._views = views
        unknown = self._unknown(asked, names)
        self._slots = {
            name: self._slot(name, tab, name == shown) for name, tab in self._makers.items()
        }
        self._built = {name for name, tab in self._makers.items() if tab.at_once}
        self._asked = []
        self._content.objects = list(self._slots.values())
        self._quiet = True
        self._tabs.param.update(options=names, value=shown)
        self._quiet = False
        below = (html_pane(note) for note in notes)
        self.main.objects = [top, *unknown, self._tabs, self._content, *below]
        for of_run in views:
            of_run.result.selection.param.watch(
                lambda *_: self._to_address("choose"), list(ADDRESSED)
            )

    def _unknown(self, view: str, names: list[str]) -> list[Any]:
        """What the address asks for and is not here is forgotten; one sentence says so."""
        wrong = [view] if view and view not in names else []
        wrong += [name for of_run in self._views for name in of_run.settle()]
        if not (wrong and self._addressed):
            return []
        told = cut(", ".join(f"“{name}”" for name in wrong), 200)
        return [html_pane(draw.paragraph(f"The address also asks for what is not here: {told}."))]

    def _slot(self, name: str, tab: tabs.Tab, shown: bool) -> Any:
        """The place of a tab.

        All places stand from the start: adding one later makes the browser lay out its neighbours
        again, at no width.
        """
        inside = self._made(name) if tab.at_once else html_pane(tabs.STILL_DRAWING)
        return narrow_column(inside, css_classes=[] if shown else ["wb-away"])

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
        if not self._loaded or self._drawings is None:
            return
        runs = (self._result, self._other)
        ids = [_id(run) or asked for run, asked in zip(runs, self._asked_for, strict=True)]
        query = {name: one for name, one in zip(("run", "with"), ids, strict=True) if one}
        if self._result is not None:
            query |= {"view": self._tabs.value, **address.as_text(*runs)}
        title = parts.window_title(run.title for run in runs if run is not None)
        self.address.say(query, "say" if self._by_itself else step, title)

    def _follow(self, query: dict[str, str]) -> None:
        """Show what an address of before says."""
        self._query, self._addressed = query, True
        runs = (query.get("run", ""), query.get("with", ""))
        with self._unasked():
            if self._result is None or (_id(self._result), _id(self._other)) != runs:
                self._fill(*runs)
                self._open(*runs)
                return
            for result, chosen in address.by_run(query, self._result, self._other):
                result.selection.restore(chosen)
            for of_run in self._views:
                of_run.settle()
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
