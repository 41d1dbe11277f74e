"""Parts of the Explorer's page: what is told of a run, its tables, and how a place is filled."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any
from urllib.parse import quote

import panel as pn
from markupsafe import Markup

from ui.runs import answer, numbers, provenance
from workbench import commands, draw
from workbench.draw.view import (
    STYLES,
    html_pane,
    need_panel,
    tabulator,
)
from workbench.errors import NotFound
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
# The tabs stay in sight however far down their contents are read.
ON_TOP = ":host { position: sticky; top: 0; z-index: 5; background: var(--wb-bg); padding: 6px 0; }"
CHOOSER: dict[str, Any] = {
    "stylesheets": [STYLES],
    "sizing_mode": "stretch_width",
    "margin": (0, 0, 8, 0),
    "styles": {"flex": "1 1 320px"},
    "min_width": 0,
}

COPY_LINK = (
    "(async b=>{try{await navigator.clipboard.writeText(location.href);b.textContent='Link"
    " copied'}catch(e){prompt('Copy this link',location.href)}setTimeout(()=>b.textContent='Copy"
    " link to this view',1600)})(this)"
)


WIDE: dict[str, Any] = {"sizing_mode": "stretch_width", "min_width": 0}


def freeze_models() -> AbstractContextManager[None]:
    """What is changed inside is one change of the page: Bokeh walks through all of a document's
    models after each.
    """
    document = pn.state.curdoc
    return nullcontext() if document is None else document.models.freeze()


def tables(result: Result) -> Any:
    """Every table of the run, one at a time, sortable: the data behind every picture."""
    if not result.tables:
        return html_pane(
            draw.empty_state(
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


def headline(result: Result, page: bool) -> Any:
    """What stands first: the question, the answer, how sure it is, and where it comes from."""
    lead = answer.lead_of(result)
    says = Markup("").join(
        Markup('<p class="wb-answer{}">{}</p>').format("" if n == 0 else "-more", sentence)
        for n, sentence in enumerate(lead.says)
    )
    stopped = (
        draw.paragraph("Partial: the run was stopped before it was done; what it had is shown.")
        if result.partial
        else ""
    )
    sure = answer.certainty(result)
    return html_pane(
        Markup("<style>{}</style><h1>{}</h1>{}{}{}{}").format(
            Markup(provenance.CSS),
            result.question or result.analysis,
            stopped,
            says or draw.paragraph("This run has no findings."),
            Markup('<p class="wb-sure"><b>How sure?</b> {}</p>').format(sure) if sure else "",
            origin(result, page),
        )
    )


def origin(result: Result, page: bool) -> Markup:
    """Where the run comes from in one line, which opens to all there is to know; and ways to hand
    it on.
    """
    blocks = [
        ("What was asked", provenance.facts_html(result.params)),
        ("Model", provenance.model_html(result)),
        ("Run", provenance.provenance_html(result)),
        ("Not run", provenance.left_out_html(result)),
        (
            "Run it again",
            provenance.code_html(commands.command_line(result), "command")
            + provenance.code_html(provenance.python_lines(result), "Python lines"),
        ),
    ]
    body = Markup("").join(
        Markup("<section><h2>{}</h2>{}</section>").format(title, inner)
        for title, inner in blocks
        if inner
    )
    hand_on = Markup("")
    if page and result.path is not None:
        hand_on = Markup(
            '<span class="wb-handon"><button type="button" class="wb-copylink" onclick="{}">Copy'
            ' link to this view</button> <a href="{}" target="_blank" rel="noopener">Report</a>'
            "</span>"
        ).format(COPY_LINK, f"runs/{quote(result.path.name, safe='')}/report.html")
    return Markup(
        '<div class="wb-origin"><details><summary>{}</summary><div'
        ' class="wb-origin-all">{}</div></details>{}</div>'
    ).format(provenance.one_line(result), body, hand_on)


def all_numbers(result: Result) -> Any:
    """Every number of every finding, with its title, unit and interval."""
    frame = numbers.table(result)
    order = ["title", "value", "number", "low", "high", "unit", "says", "finding"]
    return tabulator(frame[order], headings=numbers.HEADINGS)


def run_label(entry: RunEntry) -> str:
    when = entry.started.replace("T", " ")[:16]
    if entry.problem:
        return f"{entry.id} (cannot be read)"
    marks = "".join(
        f" · {word}" for word, on in (("sample", entry.sample), ("partial", entry.partial)) if on
    )
    return f"{entry.analysis} · {entry.model} · {when}{marks} · {entry.id}"[:120]


def matching(entries: list[RunEntry], words: str, always: set[str]) -> dict[str, str]:
    """Ids by label of the runs that have all words in their label, and of those in `always`."""
    wanted = words.lower().split()
    return {
        label: entry.id
        for entry in entries
        for label in [run_label(entry)]
        if entry.id in always or all(word in f"{label} {entry.id}".lower() for word in wanted)
    }


def unknown_run(run: str, entries: list[RunEntry]) -> Any:
    raise NotFound.named(
        "run", run[:80], [e.id for e in entries], do="`workbench runs` lists them."
    )


def warm_up() -> None:
    """Draw one small figure, so that the first page of a server is as quick as the next."""
    import holoviews as hv

    need_panel()
    pn.pane.HoloViews(
        hv.Overlay([hv.Rectangles([(0, 0, 1, 1)]), hv.Points([(0, 0)])]), linked_axes=False
    ).get_root()
