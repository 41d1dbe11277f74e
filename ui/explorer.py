"""The Explorer: open a saved run, look at its views, and put two runs side by side.

It knows no analysis: tabs are whatever `registry.get(name).views(result)` gives. A view that fails,
or an analysis that is not installed here, leaves the page standing with findings and tables.
Nothing here touches a model.

On a page a tab whose still form is all there is (`fragments.is_still`) has no model in Python: the
browser fetches it, ahead of time, and draws it. The others are built here once the page stands,
with pictures that are drawn already. All tabs have their places from the start, and going from one
to another only changes a class in the browser.

Importing this module loads Panel and HoloViews and draws one small figure, so that the first page
of a server is as quick as the next; nothing else of the workbench imports it at its top.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import panel as pn
from markupsafe import Markup

from ui import compare, provenance, static_views, style
from ui.render_cache import RenderCache
from workbench import draw, registry
from workbench.draw.figure import DRAWING, drawn, figure_of
from workbench.draw.view import (
    STYLES,
    View,
    html_pane,
    live_part,
    need_panel,
    pictures,
    tabulator,
    wrapping,
)
from workbench.errors import NotFound, WorkbenchError
from workbench.result import Result
from workbench.runs import RunEntry, listing, open_run

TEMPLATES = Path(__file__).parent / "templates"


_COPY_LINK = (
    "(async b=>{try{await navigator.clipboard.writeText(location.href);b.textContent='Link"
    " copied'}catch(e){prompt('Copy this link',location.href)}setTimeout(()=>b.textContent='Copy"
    " link to this view',1600)})(this)"
)
# Going to another tab: only classes change, and silently, since Bokeh would lay out the whole page
# for a change of its own.
_SWITCH = """
places.children.forEach((place, i) => {
  const classes = place.css_classes.filter((name) => name !== "wb-away");
  if (i !== cb_obj.active) classes.push("wb-away");
  place.setv({css_classes: classes}, {silent: true});
  const view = Bokeh.index.find_one(place);
  if (view != null) view.el.classList.toggle("wb-away", i !== cb_obj.active);
});
document.dispatchEvent(new Event("wb-tab"));
"""
# What is away keeps its size, so that nothing in it is measured or drawn anew, stands above the
# page, where nobody can scroll to, and cannot be reached by keyboard or ear.
_PLACES = """
:host { position: relative; }
.wb-away { visibility: hidden; position: absolute; top: -100000px; left: 0; width: 100%;
           pointer-events: none; }
"""
_DRAWING = Markup('<p class="wb-says wb-small wb-drawing">Drawing …</p>')
_WIDE: dict[str, Any] = {"sizing_mode": "stretch_width", "min_width": 0}
_LOOK: dict[str, Any] = {
    "stylesheets": [STYLES],
    "sizing_mode": "stretch_width",
    "margin": (0, 0, 8, 0),
}


def _warm() -> None:
    import holoviews as hv

    need_panel()
    pn.pane.HoloViews(
        hv.Overlay([hv.Rectangles([(0, 0, 1, 1)]), hv.Points([(0, 0)])]), linked_axes=False
    ).get_root()


_warm()


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
        text = (TEMPLATES / "explorer.html").read_text(encoding="utf-8")
        template = pn.Template(text, location=True)
        template.add_variable("page_title", "Explorer · Memory Workbench")
        template.add_variable(
            "page_css", style.css() + (style.STATIC / "explorer.css").read_text(encoding="utf-8")
        )
        template.add_variable(
            "page_js",
            "\n".join(style.script(f"{name}.js") for name in ("workbench", "tables", "views")),
        )
        template.add_variable("page_header", style.header_html("explorer"))
        template.add_panel("side", explorer.side)
        template.add_panel("main", explorer.main)
        pn.state.onload(explorer.prepare)
        return template

    return page


@dataclass(frozen=True)
class _Tab:
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


class Explorer:
    """One person's Explorer: the two columns of the page and what links them.

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
        self._entries: list[RunEntry] = [] if result is not None else listing(runs)
        self._result: Result | None = result
        self._other: Result | None = None
        self._makers: dict[str, _Tab] = {}
        self._slots: dict[str, Any] = {}  # one place per tab
        self._built: set[str] = set()
        self._asked: list[str] = []  # tabs to build, the next one first
        self._location: Any = None  # the page's address, known once it is loaded
        self._working = False  # whether one of them is being built
        self._loaded = False  # whether the page stands in the browser
        self._quiet = False  # while the widgets are being filled, their events mean nothing
        self._tabs = pn.widgets.RadioButtonGroup(
            stylesheets=[STYLES, provenance.CSS], margin=(6, 0, 10, 0), **_WIDE
        )
        self._tabs.param.watch(lambda event: self._show(event.new), "value")
        self._content = pn.Column(stylesheets=[_PLACES], **_WIDE)
        self._tabs.jscallback(value=_SWITCH, args={"places": self._content})
        self._about = pn.Column(**_WIDE)
        self._filter = pn.widgets.TextInput(
            name="Find a run", placeholder="model, analysis, date …", **_LOOK
        )
        self._choose = pn.widgets.Select(name="Run", size=7, **_LOOK)
        self._with = pn.widgets.Select(name="Compare with", **_LOOK)
        self.side = pn.Column(**_WIDE)
        self.main = pn.Column(**_WIDE)
        if result is not None:
            self.side.objects = [self._about]
            self._arrange()
            return
        if self._entries:
            finder = [self._filter] if len(self._entries) > 5 else []
            self.side.objects = [*finder, self._choose, self._with, self._about]
        else:
            self.side.objects = [self._about]
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
        """Offer the runs that match the filter; what is open stays open."""
        words = (self._filter.value_input or "").lower().split()
        every = {_label(e): e.id for e in self._entries}
        found = {
            label: id_
            for label, id_ in every.items()
            if id_ == run or all(w in f"{label} {id_}".lower() for w in words)
        }
        self._quiet = True
        try:
            self._choose.param.update(
                options={"– choose a run –": "", **found},
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
                open_run(run, self._runs) if self._is_listed(run) else _unknown(run, self._entries)
            )
            if other:
                self._other = (
                    open_run(other, self._runs)
                    if self._is_listed(other)
                    else _unknown(other, self._entries)
                )
        except WorkbenchError as error:
            self._about.objects = []
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
            words = draw.note(
                "Choose a run on the left.",
                f"{len(self._entries)} finished runs can be looked at; none needs its model.",
            )
        else:
            words = draw.note(
                "There is no finished run yet.",
                "Run an analysis in the Playground, or: workbench run knowledge-conflict",
            )
        self._about.objects = []
        self.main.objects = [html_pane(words)]

    # ---- showing them ----------------------------------------------------------------------------
    def _arrange(self) -> None:
        """Both columns anew for the open run."""
        with _one_change():
            self._lay_out()
        self._show(self._tabs.value)

    def _lay_out(self) -> None:
        result = self._result
        assert result is not None
        notes: list[Markup] = []
        try:
            views = registry.get(result.analysis).views(result)
        except Exception as error:
            # a third party's views may raise anything; findings and tables are shown all the same
            views = {}
            notes.append(
                _sorry(f"The pictures of {result.analysis!r} cannot be drawn here.", error)
            )
        hidden = {
            str(name): view.why_not
            for name, view in views.items()
            if isinstance(view, View) and view.why_not
        }
        self._makers = {
            str(name): self._tab(result, str(name), view)
            for name, view in views.items()
            if str(name) not in hidden
        }
        if self._other is not None:
            self._makers = self._compared(result, self._other)
        self._makers["Tables"] = _Tab(lambda: tables(result))
        if hidden:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in hidden.items())
            notes.append(draw.says(f"Not shown – {reasons}.", small=True))
        self._about.objects = [_about(result, self._drawings is not None)]
        top = [
            html_pane(_headline(result)),
            html_pane(
                Markup(f"<style>{provenance.CSS}</style>") + provenance.findings_html(result)
            ),
        ]
        if self._other is not None:
            top = [html_pane(compare.headline(result, self._other))]
        names = list(self._makers)
        first = self._query.get("view", "")
        shown = first if first in names else names[0]
        # All places stand from the start: adding one later makes the browser lay out its neighbours
        # again, at no width.
        self._slots = {}
        for name, tab in self._makers.items():
            inside = self._made(name) if tab.at_once else html_pane(_DRAWING)
            self._slots[name] = pn.Column(
                inside, css_classes=[] if name == shown else ["wb-away"], **_WIDE
            )
        self._built = {name for name, tab in self._makers.items() if tab.at_once}
        self._asked = []
        self._content.objects = list(self._slots.values())
        self._quiet = True
        self._tabs.param.update(options=names, value=shown)
        self._quiet = False
        self.main.objects = [*top, *(html_pane(n) for n in notes), self._tabs, self._content]
        result.selection.param.watch(lambda *_: self._to_address(), ["head", "prompt"])

    def _tab(self, result: Result, name: str, view: Any) -> _Tab:
        """How a view of a run comes to its place."""
        drawings, path = self._drawings, result.path
        if drawings is None or path is None:
            return _Tab(partial(live_part, view))
        if static_views.is_still(view):
            return _Tab(
                partial(_fetched, f"runs/{quote(path.name, safe='')}/views/{quote(name, safe='')}"),
                at_once=True,
            )
        live = view.live if isinstance(view, View) else None
        if live is None:  # a Panel object, which has its own way to the browser
            return _Tab(partial(live_part, view))
        figures: list[Any] = []

        def drawn_already() -> None:
            figures[:] = [figure_of(picture) for picture in drawings.fragment(path, name).figures()]

        return _Tab(lambda: live(figures), first=drawn_already)

    def _compared(self, mine: Result, other: Result) -> dict[str, _Tab]:
        """The tabs of two runs: what can be subtracted first, then every view of both side by
        side.
        """
        both = compare.view(mine, other)
        figures: list[Any] = []

        def subtracted() -> None:
            with DRAWING:
                figures[:] = [drawn(picture) for picture in pictures(both)]

        assert both.live is not None
        tabs = {"A − B": _Tab(partial(both.live, figures), first=subtracted)}
        try:
            theirs = registry.get(other.analysis).views(other)
        except Exception as error:  # as in _arrange
            sorry = _sorry("The pictures of run B cannot be drawn here.", error)
            return {**tabs, **self._makers, "Run B": _Tab(lambda: html_pane(sorry), at_once=True)}
        for name, a in self._makers.items():
            tabs[name] = (
                _side_by_side(a, self._tab(other, name, theirs[name])) if name in theirs else a
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
            return html_pane(_sorry(f"The view {name!r} cannot be drawn.", error))

    def _put(self, name: str) -> None:
        """Fill the place of a tab, now."""
        tab = self._makers[name]
        if name in self._built:
            return
        self._built.add(name)
        if self._drawings is None and tab.first is not None:
            tab.first()
        with _one_change():
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
        wide = {"styles": {"flex": "3 1 560px"}, "min_width": 320}
        self.side.param.update(styles={"flex": "1 1 240px"}, max_width=320, min_width=220)
        self.main.param.update(**wide)
        return wrapping(self.side, self.main, sizing_mode="stretch_width")


def _one_change() -> AbstractContextManager[None]:
    """What is changed inside is one change of the page: Bokeh walks through all of a document's
    models after each.
    """
    document = pn.state.curdoc
    return nullcontext() if document is None else document.models.freeze()


def tables(result: Result) -> Any:
    """Every table of the run, one at a time, sortable: the data behind every picture."""
    if not result.tables:
        return html_pane(
            draw.note(
                "This run has no tables.",
                "It was stopped before the first one; run the analysis again.",
            )
        )
    names = {
        f"{name.replace('_', ' ')} ({len(table)} rows)": name
        for name, table in result.tables.items()
    }
    choose = pn.widgets.Select(
        name="Table", options=names, width=260, stylesheets=[STYLES], margin=(0, 0, 6, 0)
    )
    place = pn.Column(tabulator(result.tables[choose.value]), **_WIDE)

    def chosen(event: Any) -> None:
        place.objects = [tabulator(result.tables[event.new])]

    choose.param.watch(chosen, "value")
    return pn.Column(choose, place, **_WIDE)


def _fetched(address: str) -> Any:
    """A tab that the browser fetches and draws itself, see `views.js`."""
    place = Markup('<wb-view src="{}">{}</wb-view>').format(address, _DRAWING)
    return html_pane(place, stylesheets=[static_views.CSS], min_width=0)


def _side_by_side(mine: _Tab, theirs: _Tab) -> _Tab:
    half = {"styles": {"flex": "1 1 420px"}, "min_width": 300, "sizing_mode": "stretch_width"}
    slow = [tab.first for tab in (mine, theirs) if tab.first is not None]

    def make() -> Any:
        columns = [
            pn.Column(html_pane(Markup(f"<h2>Run {name}</h2>")), tab.make(), **half)
            for name, tab in (("A", mine), ("B", theirs))
        ]
        return wrapping(*columns, sizing_mode="stretch_width")

    def first() -> None:
        for one in slow:
            one()

    return _Tab(make, first if slow else None, at_once=mine.at_once and theirs.at_once)


def _about(result: Result, page: bool) -> Any:
    """The left column: what was asked, of which model, and how to ask it again."""
    link = ""
    if page:
        link = Markup(
            '<p><button type="button" class="wb-copylink" onclick="{}">Copy link to this'
            ' view</button> <a href="{}">Report</a></p>'
        ).format(
            _COPY_LINK,
            f"runs/{quote(result.path.name, safe='')}/report.html" if result.path else "#",
        )
    blocks = [
        ("What was asked", provenance.facts_html(result.params)),
        ("Model", provenance.model_html(result)),
        ("Run", provenance.provenance_html(result)),
        ("Run it again", provenance.code_html(provenance.command_line(result), "command")),
        ("In Python", provenance.code_html(provenance.python_lines(result), "Python lines")),
    ]
    body = Markup("").join(
        Markup("<section><h2>{}</h2>{}</section>").format(title, inner) for title, inner in blocks
    )
    return html_pane(Markup(f"<style>{provenance.CSS}</style>") + link + body)


def _headline(result: Result) -> Markup:
    partial_note = ""
    if result.partial:
        partial_note = Markup(
            '<p class="wb-says"><b>Partial:</b> the run was stopped before it was done; what it had'
            " is shown.</p>"
        )
    return Markup('<style>{}</style><h1>{}</h1><p class="wb-says wb-small">{}</p>{}').format(
        Markup(provenance.CSS), result.question or result.analysis, result.title, partial_note
    )


def _sorry(what: str, error: Exception) -> Markup:
    """Why something cannot be shown, in words; the rest of the page stands."""
    reason = error.what if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}"
    return draw.note(what, f"{reason} Findings and tables of the run are not affected.")


def _label(entry: RunEntry) -> str:
    when = entry.started.replace("T", " ")[:16]
    if entry.problem:
        return f"{entry.id} (cannot be read)"
    marks = "".join(
        f" · {word}" for word, on in (("sample", entry.sample), ("partial", entry.partial)) if on
    )
    return f"{entry.analysis} · {entry.model} · {when}{marks} · {entry.id}"[:120]


def _unknown(run: str, entries: list[RunEntry]) -> Any:
    raise NotFound.named(
        "run", run[:80], [e.id for e in entries], do="`workbench runs` lists them."
    )
