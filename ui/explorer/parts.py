"""Parts of the Explorer's page: what is told of a run, its tables, and how a place is filled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote

import panel as pn
from markupsafe import Markup

from ui.runs import answer, provenance
from workbench import commands, draw, registry
from workbench.draw.view import STYLES, html_pane, need_panel
from workbench.errors import NotFound
from workbench.grid.status import is_at_work
from workbench.result import Result
from workbench.run_titles import cut
from workbench.runs import RunEntry, listing, with_runs_of_grids

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
@media (max-width: 860px) { .bk-panel-models-layout-Column { overflow-x: auto; } }
"""
# The tabs stay in sight however far down their contents are read.
ON_TOP = ":host { position: sticky; top: 0; z-index: 5; background: var(--wb-bg); padding: 6px 0; }"
# On a phone the run has a row of its own, and what narrows the choice half of one each: the answer
# is to come soon.
_CHOOSERS = (
    "@media (max-width: 600px) { :host { flex: 1 1 150px !important; }"
    " :host(.wb-run) { flex-basis: 100% !important; order: -1; } }"
)
CHOOSER: dict[str, Any] = {
    "stylesheets": [STYLES, _CHOOSERS],
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


def freeze_models() -> AbstractContextManager[None]:
    """What is changed inside is one change of the page: Bokeh walks through all of a document's
    models after each.
    """
    document = pn.state.curdoc
    return nullcontext() if document is None else document.models.freeze()


def headline(result: Result, page: bool) -> Any:
    """What stands first: the question, the answer, how sure it is, and where it comes from."""
    lead = answer.lead_of(result)
    says = Markup("").join(
        Markup('<p class="wb-answer{}">{}</p>').format("" if n == 0 else "-more", sentence)
        for n, sentence in enumerate(lead.says)
    )
    stopped = draw.paragraph(_partial(result)) if result.partial else ""
    sure = answer.certainty(result)
    return html_pane(
        Markup("<style>{}</style>{}<h1>{}</h1>{}{}{}{}{}").format(
            Markup(provenance.CSS),
            title(result),
            answer.question(result),
            stopped,
            says or draw.paragraph("This run has no findings."),
            Markup('<p class="wb-sure"><b>How sure?</b> {}</p>').format(sure) if sure else "",
            note(result),
            origin(result, page),
        )
    )


def _partial(result: Result) -> str:
    """Why a run is not whole."""
    if result.analysis != registry.GRID:
        return "Partial: the run was stopped before it was done; what it had is shown."
    if result.path is not None and is_at_work(result.path):
        return "At work: what is done so far is shown; reload the page for what comes."
    return (
        "Partial: not all of its runs are done; the command under “Run it again”, given where its"
        " folder lies, goes on."
    )


def title(result: Result) -> Markup:
    """What the run is called."""
    pinned = " · pinned" if result.labels.pinned else ""
    return Markup('<p class="wb-run-title" dir="auto">{}{}</p>').format(result.title, pinned)


def note(result: Result) -> Markup:
    """What somebody has noted of the run, or why that cannot be read."""
    labels = result.labels
    if labels.problem:
        return draw.paragraph(labels.problem, small=True)
    if not labels.note:
        return Markup("")
    return Markup('<p class="wb-run-note" dir="auto">{}</p>').format(labels.note)


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
        labels, address = result.labels, f"runs/{quote(result.path.name, safe='')}/report.html"
        acts = {
            "rename": "Rename",
            "note": "Change the note" if labels.note else "Add a note",
            **({"unpin": "Unpin"} if labels.pinned else {"pin": "Pin"}),
        }
        hand_on = Markup(
            '<span class="wb-handon" data-run="{}" data-title="{}" data-note="{}">{}<button'
            ' type="button" class="wb-copylink" onclick="{}">Copy link to this view</button> <a'
            ' href="{}" target="_blank" rel="noopener">Report</a> <a href="{}?download=1"'
            " download>Download report</a></span>"
        ).format(
            result.path.name,
            result.title,
            labels.note,
            Markup("").join(
                Markup(
                    '<button type="button" class="wb-copylink" data-run-act="{}">{}</button> '
                ).format(act, word)
                for act, word in acts.items()
            ),
            COPY_LINK,
            address,
            address,
        )
    return Markup(
        '<div class="wb-origin"><details><summary>{}</summary><div'
        ' class="wb-origin-all">{}</div></details>{}</div>'
    ).format(provenance.one_line(result) or "Where it comes from", body, hand_on)


def offered(runs: Path | None, query: Mapping[str, str] | None) -> list[RunEntry]:
    """The runs to choose from; one that is hidden, or lies in a grid, is there only if the address
    asks for it.
    """
    asked = {(query or {})[name] for name in ("run", "with") if name in (query or {})}
    entries = listing(runs)
    shown = {entry.id: entry for entry in entries if not entry.labels.hidden}
    # A run of a grid stands in no list; its address leads to it all the same.
    for entry in with_runs_of_grids(entries) if asked - shown.keys() else ():
        if entry.id in asked:
            shown.setdefault(entry.id, entry)
    return list(shown.values())


def page_title(runs: Path | None, query: Mapping[str, str]) -> Markup:
    """The title of the page that an address asks for, as HTML."""
    titles = {entry.id: entry.title for entry in offered(runs, query)}
    asked = (query.get(name, "") for name in ("run", "with"))
    return Markup("{}").format(window_title(titles[run] for run in asked if run in titles))


def window_title(titles: Iterable[str]) -> str:
    """What the browser calls a page that shows runs of these titles."""
    shown = " and ".join(cut(title, 120) for title in titles)
    return f"{shown or 'Explorer'} · Memory Workbench"


def run_label(entry: RunEntry) -> str:
    when = entry.started.replace("T", " ")[:16]
    if entry.problem:
        return f"{entry.id} (cannot be read)"
    marks = "".join(
        f" · {word}"
        for word, on in (
            ("pinned", entry.labels.pinned),
            ("sample", entry.sample),
            ("partial", entry.partial),
        )
        if on
    )
    about = f" · {when}{marks} · {cut(entry.id, 60)}"
    return cut(entry.title, 150 - len(about)) + about


def matching(entries: list[RunEntry], words: str, always: set[str]) -> dict[str, str]:
    """Ids by label of the runs that have all words in their label, and of those in `always`."""
    wanted = words.lower().split()
    return {
        label: entry.id
        for entry in entries
        for label in [run_label(entry)]
        if entry.id in always or all(word in _findable(entry, label) for word in wanted)
    }


def _findable(entry: RunEntry, label: str) -> str:
    about = (label, entry.id, entry.title, entry.analysis, entry.model, entry.labels.note)
    return " ".join(about).lower()


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
