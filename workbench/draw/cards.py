"""One thing in numbers, as HTML: its name, a few words about it, and a line for each number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from workbench.draw.view import empty_state
from workbench.wording import formatted

_CSS = (
    ".wb-card{border-collapse:collapse;font:13px/1.6 var(--wb-font,sans-serif)}"
    ".wb-card th{text-align:left;font-weight:500;padding-right:14px}"
    ".wb-card td{font-variant-numeric:tabular-nums}"
    ".wb-card-name{font:650 17px var(--wb-font,sans-serif);margin:0 0 4px}"
)


def card(
    name: str, row: Mapping[str, Any] | None, lines: Mapping[str, str], about: str = ""
) -> Markup:
    """HTML of the card.

    Args:
        name: of a head, say.
        row: what was measured of it, by name; None where nothing was, which is then said.
        lines: what a person reads to the numbers with their units, as formats of `row`, such as
            "{loss:+.3f} nats per token"; `:%` writes a share in percent.
        about: a format too; stands small beside the name.
    """
    if row is None:
        return empty_state(f"{name} was not measured.", "Choose another one.")
    cells = (
        Markup("<tr><th>{}</th><td>{}</td></tr>").format(word, formatted(said, **row))
        for word, said in lines.items()
    )
    return Markup(
        '<style>{}</style><h3 class="wb-card-name">{} <span class="wb-small">{}</span></h3>'
        '<table class="wb-card">{}</table>'
    ).format(Markup(_CSS), name, formatted(about, **row), Markup("").join(cells))
