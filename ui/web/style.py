"""The shared look: style sheet, header, theme, messages.

Used by Home, Playground, Explorer and the report.

<head> needs head_html() (script and style sheet); a page that cannot link files inlines css()
instead. Links are relative to the page, so that all of it works under any path that a proxy puts in
front. Panel draws inside shadow roots: give css() to `pn.config.raw_css` for the variables *and* as
`stylesheets=[css()]` to the pane that holds header_html().
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from workbench.errors import WorkbenchError

STATIC = Path(__file__).parents[1] / "static"
TEMPLATES = STATIC.with_name("templates")
PAGES = {
    "home": ("./", "Home"),
    "playground": ("playground/", "Playground"),
    "runs": ("runs", "Runs"),
    "explorer": ("explorer", "Explorer"),
    "docs": ("docs/", "Docs"),
}

MARK = (
    '<svg viewBox="0 0 28 28" aria-hidden="true" fill="none"><rect x="1" y="1" width="26"'
    ' height="26" rx="7" stroke="currentColor" stroke-opacity=".35" stroke-width="1.5"/><path d="M7'
    ' 19V9l4.6 6.2L14 12" stroke="var(--wb-memory-fill)" stroke-width="2.4" stroke-linecap="round"'
    ' stroke-linejoin="round"/><path d="M14 12l2.4 3.2L21 9v10" stroke="var(--wb-context-fill)"'
    ' stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round"/></svg>'
)
_HALF_MOON = (
    '<svg viewBox="0 0 20 20" aria-hidden="true"><circle cx="10" cy="10" r="7" fill="none"'
    ' stroke="currentColor" stroke-width="1.6"/><path d="M10 3a7 7 0 0 1 0 14z"'
    ' fill="currentColor"/></svg>'
)

# Filled and wired by models.js; without scripts Home names the model in its card.
_MODEL = (
    '<span class="wb-models" hidden><button class="wb-model" type="button" aria-haspopup="dialog"'
    ' title="Choose a model"><span class="wb-model-name">…</span></button>'
    '<span class="wb-loading" role="status" hidden><span class="wb-loading-says"></span>'
    '<progress max="1"></progress><button class="wb-loading-cancel" type="button">Cancel</button>'
    "</span></span>"
)


@cache
def css() -> str:
    """The whole shared style sheet."""
    return (STATIC / "workbench.css").read_text(encoding="utf-8")


@cache
def script(name: str) -> str:
    """A script that a page inlines: workbench.js (theme switch, dismissible messages),
    tables.js, views.js.
    """
    return (STATIC / name).read_text(encoding="utf-8")


def head_html(home: str = "") -> str:
    """What <head> needs; `home` leads from the page to Home: "" or "../"."""
    return (
        f'<script src="{home}assets/workbench.js"></script>'
        f'<script src="{home}assets/models.js" defer></script>'
        f'<link rel="stylesheet" href="{home}assets/workbench.css">'
    )


def header_html(active: str, home: str = "") -> str:
    """The navigation on top of every page.

    On the Explorer the theme switch reloads the page, since its plots are coloured on the server.

    Args:
        active: "home", "playground", "runs" or "explorer".
        home: the way from the page to Home: "" or "../".
    """
    links = "".join(
        f'<a href="{home}{href}"{" aria-current=page" if name == active else ""}>{word}</a>'
        for name, (href, word) in PAGES.items()
    )
    return (
        f'<header class="wb-header"><a class="wb-brand" href="{home}./">{MARK}Memory'
        f' Workbench</a><nav class="wb-nav" aria-label="Pages">{links}</nav>{_MODEL}<button'
        ' class="wb-theme" type="button"'
        f' data-wb-theme="{"reload" if active == "explorer" else ""}" aria-label="Switch between'
        f' light and dark" title="Switch between light and dark">{_HALF_MOON}</button></header>'
    )


def theme_of(cookies: Mapping[str, str]) -> Literal["light", "dark"]:
    """The theme a page drawn on the server should have: the user's choice, else what their
    system was last seen to prefer.
    """
    chosen = cookies.get("wb-theme") or cookies.get("wb-system")
    return "dark" if chosen == "dark" else "light"


def message_html(
    error: WorkbenchError | str, *, dismissible: bool = True, note: bool = False
) -> str:
    """An error as a line with what, expected and do; text is escaped."""
    if isinstance(error, WorkbenchError):
        what, rest = error.what, [("Expected", error.expected), ("What to do", error.do)]
    else:
        what, rest = error, []
    lines = "".join(f"<p>{label}: {html.escape(text)}</p>" for label, text in rest if text)
    close = (
        '<button class="wb-dismiss" type="button" data-wb-dismiss aria-label="Dismiss">×</button>'
        if dismissible
        else ""
    )
    kind = "wb-message wb-note" if note else "wb-message"
    return (
        f'<div class="{kind}"'
        f' role="alert"><div><strong>{html.escape(what)}</strong>{lines}</div>{close}</div>'
    )
