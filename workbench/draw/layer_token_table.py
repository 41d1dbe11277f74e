"""Layers × tokens with something written in each cell, as an HTML table: it hovers, scrolls, and
can be read aloud.

Also `clicks`: a page's way to hear which cell or token was clicked.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from workbench.draw import colour, style
from workbench.draw.notify import as_one_message

_GLYPHS = str.maketrans({"Ġ": " ", "▁": " ", "Ċ": "\n", "ĉ": "\t"})
CSS = style.sheet("cells.css")
WINDOW = 24
"""Columns that are shown at once."""


@dataclass(frozen=True)
class Cell:
    """What a cell holds.

    Args:
        text: plain text, escaped here.
        share: how strong its colour is, 0 to 1.
        tip: what hovering says.
        token: the text is a token, whose leading space and line breaks are to be seen.
    """

    text: str
    share: float
    tip: str = ""
    token: bool = False


def window(n: int, pos: int, width: int = WINDOW) -> range:
    """Which of `n` columns are shown so that `pos` is among them."""
    first = max(0, min(pos - width // 2, n - width))
    return range(first, min(n, first + width))


def window_note(n: int) -> str:
    """That only a window of so many tokens is shown; "" where all are."""
    return f"Shown are {WINDOW} of {n} tokens, around the chosen one." if n > WINDOW else ""


def token_table(
    tokens: Sequence[str],
    cells: Mapping[tuple[int, int], Cell],
    *,
    columns: Sequence[int],
    chosen: tuple[int | None, int | None] = (None, None),
    caption: str,
) -> Markup:
    """HTML of the table: a row per layer, a column per token.

    Args:
        tokens: the whole text.
        cells: by (layer, position); what is missing is a dash.
        columns: the positions shown, see `window`.
        here: the chosen layer and position; the cell and its headings are outlined.
        caption: what the table shows, for those who hear it.
    """
    layer_here, pos_here = chosen
    head = "".join(
        f'<th scope="col" data-at="{pos}"{_mark(pos == pos_here)}'
        f' title="{html.escape(f"token {pos}: {tokens[pos]}")}">{_one_line(tokens[pos])}</th>'
        for pos in columns
    )
    rows = []
    for layer in sorted({layer for layer, _ in cells}):
        row = "".join(
            _cell(
                cells.get((layer, pos)), f"{layer},{pos}", layer == layer_here and pos == pos_here
            )
            for pos in columns
        )
        rows.append(f'<tr><th scope="row"{_mark(layer == layer_here)}>{layer}</th>{row}</tr>')
    return Markup(
        f'<style>{CSS}</style><div class="wb-cells-box" tabindex="0" role="region"'
        f' aria-label="{html.escape(caption)}">'
        f'<table class="wb-cells" aria-label="{html.escape(caption)}"><thead><tr><th'
        f' scope="col">layer</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _mark(on: bool) -> str:
    return ' class="wb-here"' if on else ""


def _cell(cell: Cell | None, at: str, is_chosen: bool) -> str:
    if cell is None:
        return "<td>–</td>"
    text = _one_line(cell.text) if cell.token else html.escape(cell.text)
    look = f"background:{colour.shade(cell.share)}"
    return (
        f'<td data-at="{at}"{_mark(is_chosen)} style="{look}"'
        f' title="{html.escape(cell.tip)}">{text}</td>'
    )


def _one_line(token: str) -> str:
    """A token in one line: a leading space is a faint dot, a line break its mark."""
    text = token.translate(_GLYPHS)
    space = text.startswith(" ")
    text = (
        html.escape(text[1:] if space else text)
        .replace("\r", "")
        .replace("\n", "↵")
        .replace("\t", "⇥")
    )
    return ('<span class="wb-space">·</span>' if space else "") + text


def clicks(pane: Any, clicked: Callable[[Sequence[int]], object]) -> Any:
    """A pane of tables or token strips that says what is clicked in it.

    Args:
        pane: an HTML pane whose markup went through `listening`.
        clicked: called with (layer, position) of a cell, or (position,) of a heading or a token of
            a strip.

    Returns:
        What to lay out in the pane's place.
    """
    from workbench.draw.layout import narrow_column
    from workbench.draw.view import need_panel

    pn = need_panel()
    # A custom widget would not reach pages that get their tabs later; an input does, and nobody
    # sees it.
    said = pn.widgets.TextInput(css_classes=["wb-said"], stylesheets=[":host{display:none}"])

    @as_one_message
    def heard(event: Any) -> None:
        parts = str(event.new).split(" ")[0].split(",")
        if all(part.isascii() and part.isdigit() and len(part) < 9 for part in parts):
            clicked([int(part) for part in parts])

    said.param.watch(heard, "value")
    return narrow_column(pane, said)


def listening(markup: Markup) -> Markup:
    """The same markup, with its clicks heard by `clicks`."""
    return Markup('<style>{}</style><div class="wb-clicks" onclick="{}">{}</div>').format(
        Markup(CSS), _ON_CLICK, markup
    )


# The second word makes two clicks on one cell two values.
_ON_CLICK = (
    "const c=event.target.closest('[data-at]'),t=event.target.closest('.wb-tok');const"
    " at=c?c.dataset.at:t?[...t.closest('.wb-strip').querySelectorAll('.wb-tok')].indexOf(t)"
    ":null;const"
    " i=at===null?null:this.getRootNode().host.getRootNode().querySelector('.wb-said');if(i){const"
    " f=i.shadowRoot.querySelector('input');f.value=at+' '+Date.now();f.dispatchEvent(new"
    " Event('change'))}"
)
