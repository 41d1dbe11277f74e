"""Parts of the Explorer's page: what is told of a run, its tables, and how a place is filled."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import panel as pn
from markupsafe import Markup

from ui import provenance, static_views
from workbench import draw
from workbench.draw.view import (
    STYLES,
    html_pane,
    need_panel,
    tabulator,
    wrapping,
)
from workbench.errors import NotFound, WorkbenchError
from workbench.result import Result
from workbench.runs import RunEntry

# Going to another tab: only classes change, and silently, since Bokeh would lay out the whole page
# for a change of its own.
SWITCH = """
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
PLACES = """
:host { position: relative; }
.wb-away { visibility: hidden; position: absolute; top: -100000px; left: 0; width: 100%;
           pointer-events: none; }
"""
LOOK: dict[str, Any] = {
    "stylesheets": [STYLES],
    "sizing_mode": "stretch_width",
    "margin": (0, 0, 8, 0),
}

COPY_LINK = (
    "(async b=>{try{await navigator.clipboard.writeText(location.href);b.textContent='Link"
    " copied'}catch(e){prompt('Copy this link',location.href)}setTimeout(()=>b.textContent='Copy"
    " link to this view',1600)})(this)"
)


STILL_DRAWING = Markup('<p class="wb-says wb-small wb-drawing">Drawing …</p>')


WIDE: dict[str, Any] = {"sizing_mode": "stretch_width", "min_width": 0}


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


def one_change() -> AbstractContextManager[None]:
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
    place = pn.Column(tabulator(result.tables[choose.value]), **WIDE)

    def chosen(event: Any) -> None:
        place.objects = [tabulator(result.tables[event.new])]

    choose.param.watch(chosen, "value")
    return pn.Column(choose, place, **WIDE)


def fetched(address: str) -> Any:
    """A tab that the browser fetches and draws itself, see `views.js`."""
    place = Markup('<wb-view src="{}">{}</wb-view>').format(address, STILL_DRAWING)
    return html_pane(place, stylesheets=[static_views.CSS], min_width=0)


def side_by_side(mine: Tab, theirs: Tab) -> Tab:
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

    return Tab(make, first if slow else None, at_once=mine.at_once and theirs.at_once)


def about_run(result: Result, page: bool) -> Any:
    """The left column: what was asked, of which model, and how to ask it again."""
    link = ""
    if page:
        link = Markup(
            '<p><button type="button" class="wb-copylink" onclick="{}">Copy link to this'
            ' view</button> <a href="{}">Report</a></p>'
        ).format(
            COPY_LINK,
            f"runs/{quote(result.path.name, safe='')}/report.html" if result.path else "#",
        )
    blocks = [
        ("What was asked", provenance.facts_html(result.params)),
        ("Model", provenance.model_html(result)),
        ("Run", provenance.provenance_html(result)),
        ("Not run", provenance.left_out_html(result)),
        ("Run it again", provenance.code_html(provenance.command_line(result), "command")),
        ("In Python", provenance.code_html(provenance.python_lines(result), "Python lines")),
    ]
    body = Markup("").join(
        Markup("<section><h2>{}</h2>{}</section>").format(title, inner)
        for title, inner in blocks
        if inner
    )
    return html_pane(Markup(f"<style>{provenance.CSS}</style>") + link + body)


def headline_of(result: Result) -> Markup:
    partial_note = ""
    if result.partial:
        partial_note = Markup(
            '<p class="wb-says"><b>Partial:</b> the run was stopped before it was done; what it had'
            " is shown.</p>"
        )
    return Markup('<style>{}</style><h1>{}</h1><p class="wb-says wb-small">{}</p>{}').format(
        Markup(provenance.CSS), result.question or result.analysis, result.title, partial_note
    )


def view_error(what: str, error: Exception) -> Markup:
    """Why something cannot be shown, in words; the rest of the page stands."""
    reason = error.what if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}"
    return draw.note(what, f"{reason} Findings and tables of the run are not affected.")


def run_label(entry: RunEntry) -> str:
    when = entry.started.replace("T", " ")[:16]
    if entry.problem:
        return f"{entry.id} (cannot be read)"
    marks = "".join(
        f" · {word}" for word, on in (("sample", entry.sample), ("partial", entry.partial)) if on
    )
    return f"{entry.analysis} · {entry.model} · {when}{marks} · {entry.id}"[:120]


def unknown_run(run: str, entries: list[RunEntry]) -> Any:
    raise NotFound.named(
        "run", run[:80], [e.id for e in entries], do="`workbench runs` lists them."
    )


def warm() -> None:
    """Draw one small figure, so that the first page of a server is as quick as the next."""
    import holoviews as hv

    need_panel()
    pn.pane.HoloViews(
        hv.Overlay([hv.Rectangles([(0, 0, 1, 1)]), hv.Points([(0, 0)])]), linked_axes=False
    ).get_root()
