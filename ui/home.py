"""Home: the model, the questions one can ask of it, the runs that were made.

Drawn on the server, no script needed.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
from markupsafe import Markup

from ui import questions
from ui.app_state import AppState
from ui.web import style
from workbench.errors import WorkbenchError
from workbench.runs import RunEntry

FINDINGS_SHOWN = 3


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


@dataclass(frozen=True)
class RunCard:
    """A finished run as Home shows it."""

    entry: RunEntry
    when: str
    took: str
    picture: str
    explore: str
    report: str
    says: tuple[str, ...]


def page(app: AppState, notice: WorkbenchError | None = None) -> str:
    """The whole page as HTML; `notice` is shown on top, dismissible."""
    groups, broken = questions.groups_for(app.slot.model)
    job = app.jobs.running()
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
        runs=[run_card(entry) for entry in app.entries()],
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
        ("Number type", f"{dtype}, de-quantized from {quantized}" if quantized else dtype),
        ("Adapter", str(getattr(card, "adapter", "") or "")),
        ("Device", str(getattr(card, "device", "") or "")),
        ("Attention", str(getattr(card, "attention", "") or "")),
        ("Weights", str(getattr(card, "weight_hash", "") or "")[:19]),
    ]
    return [(label, value) for label, value in facts if value]


def run_card(entry: RunEntry) -> RunCard:
    """What a card says of a run."""
    return RunCard(
        entry=entry,
        when=when(entry.started),
        took=duration(entry.duration),
        picture=f"runs/{quote(entry.id, safe='')}/picture.png",
        explore="explorer?" + urlencode({"run": entry.id}),
        report=f"runs/{quote(entry.id, safe='')}/report.html",
        says=tuple(s for s in entry.says if s)[:FINDINGS_SHOWN],
    )


def when(started: str) -> str:
    """An ISO time as people say it, in this machine's time zone; what is no time stays as it is."""
    try:
        moment = dt.datetime.fromisoformat(started)
    except ValueError:
        return started
    return moment.astimezone().strftime("%-d %b %Y, %H:%M")


def duration(seconds: float | None) -> str:
    """75 -> "1 min 15 s"; "" for nothing."""
    if not seconds:
        return ""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def _short(count: Any) -> str:
    """135_000_000 -> "135 M"."""
    if not isinstance(count, int):
        return ""
    for size, word in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= size:
            return f"{count / size:.3g} {word}"
    return str(count)
