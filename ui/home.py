"""Home: the model, the questions one can ask of it, the runs that were made.

Drawn on the server, no script needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from ui import grids, questions
from ui.app_state import AppState
from ui.runs.cards import run_card
from ui.web import style
from workbench import paths
from workbench.errors import WorkbenchError

if TYPE_CHECKING:
    from workbench.runs import RunEntry

LATEST = 22
"""Runs that Home shows, in rows of one or three; all are in the gallery."""


@cache
def _templates() -> jinja2.Environment:
    # Everything a template prints is escaped: names, sentences and parameters come from models and
    # strangers' files.
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(style.TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def render(template: str, active: str = "home", home: str = "", **values: Any) -> str:
    """One of our pages, with the shared head and header.

    `home` leads from the page to Home, see `ui.web.style`.
    """
    head, header = Markup(style.head_html(home)), Markup(style.header_html(active, home))
    return (
        _templates()
        .get_template(template)
        .render(head=head, header=header, mark=Markup(style.MARK), home=home, **values)
    )


def fragment(template: str, **values: Any) -> str:
    """A part of a page, for pages that are drawn elsewhere."""
    return _templates().get_template(template).render(**values)


def _first(entries: Sequence[RunEntry]) -> list[RunEntry]:
    """The runs in the order in which Home shows them: the visitor's own as they come, then a sample
    of every question before a second one of any: the one that comes with the workbench, where there
    is one, and not what a later model says.
    """
    own = [entry for entry in entries if not entry.sample]
    samples = [entry for entry in entries if entry.sample]
    further = paths.samples_dir()
    best = {entry.analysis: entry for entry in reversed(samples)}
    best |= {e.analysis: e for e in reversed(samples) if further not in e.path.parents}
    of_each = [entry for entry in samples if best[entry.analysis] is entry]
    return [*own, *of_each, *(entry for entry in samples if entry not in of_each)]


def page(app: AppState, notice: WorkbenchError | None = None) -> str:
    """The whole page as HTML; `notice` is shown on top, dismissible."""
    groups, broken = questions.groups_for(app.slot.model)
    job = app.jobs.running()
    entries = app.entries()
    shown = [entry for entry in entries if not entry.labels.hidden]
    return render(
        "home.html",
        state=app.slot.state,
        name=app.slot.name,
        seconds=app.slot.seconds,
        error=(
            Markup(style.message_html(app.slot.error, dismissible=False))
            if app.slot.error
            else None
        ),
        notice=Markup(style.message_html(notice)) if notice else None,
        facts=model_facts(app.slot.model.card) if app.slot.model is not None else [],
        groups=groups,
        ready=app.slot.model is not None,
        buttons=False,
        broken=broken,
        job=job,
        grids=grids.at_work(entries),
        runs=[run_card(entry) for entry in _first(shown)[:LATEST]],
        n_runs=len(shown),
    )


def error_page(error: WorkbenchError, home: str) -> str:
    """A page of its own for an address that leads nowhere; `home` is the way to Home from there."""
    return render(
        "error.html",
        active="",
        home=home,
        message=Markup(style.message_html(error, dismissible=False)),
    )


def model_facts(card: Any) -> list[tuple[str, str]]:
    """The model's card as labels and values; what is not known of it is left out."""

    def number(name: str) -> str:
        value = getattr(card, name, None)
        return f"{value:,}" if isinstance(value, int) else ""

    dtype = str(getattr(card, "dtype", "") or "").removeprefix("torch.")
    quantized = getattr(card, "quantized_from", None)
    facts = [
        ("Layers", number("n_layers")),
        ("Heads", number("n_heads")),
        ("Key-value heads", number("n_kv_heads")),
        ("Width", number("d_model")),
        ("Vocabulary", number("d_vocab")),
        ("Parameters", _short(getattr(card, "n_params", None))),
        ("Context", f"{number('context_length')} tokens" if number("context_length") else ""),
        ("Device", str(getattr(card, "device", "") or "")),
        ("Number type", f"{dtype}, de-quantized from {quantized}" if quantized else dtype),
        ("Adapter", str(getattr(card, "adapter", "") or "")),
        ("Attention", str(getattr(card, "attention", "") or "")),
        ("Weights", str(getattr(card, "weight_hash", "") or "")[:19]),
    ]
    return [(label, value) for label, value in facts if value]


def _short(count: Any) -> str:
    """135_000_000 -> "135 M"."""
    if not isinstance(count, int):
        return ""
    for size, word in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= size:
            return f"{count / size:.3g} {word}"
    return str(count)
