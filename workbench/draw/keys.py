"""Choosing a head without a pointer: arrow keys move a violet ring over the grid, Enter chooses it (with Shift: adds),
Escape clears."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from workbench.draw import style
from workbench.draw.view import STYLES, need_panel, wrapping
from workbench.selection import Selection, head_name

_LOOK = style.sheet("keys.css")
_MOVES = {"ArrowUp": (-1, 0), "ArrowDown": (1, 0), "ArrowLeft": (0, -1), "ArrowRight": (0, 1)}


def move(selection: Selection, key: str, layers: Sequence[int], heads: Sequence[int], *, add: bool = False) -> None:
    """What one key does to the selection. At an edge the ring stays where it is."""
    at = selection.hover or selection.head or (layers[0], heads[0])
    if key in _MOVES:
        down, right = _MOVES[key]
        row = min(max(list(layers).index(at[0]) + down, 0), len(layers) - 1) if at[0] in layers else 0
        column = min(max(list(heads).index(at[1]) + right, 0), len(heads) - 1) if at[1] in heads else 0
        selection.hover = (layers[row], heads[column])
    elif key == "Enter":
        selection.choose(*at, add=add)
    elif key == "Escape":
        selection.param.update(hover=None)
        selection.clear()


def key_pad(selection: Selection, layers: Sequence[int], heads: Sequence[int], describe: Callable[[int, int], str]) -> Any:
    """A focusable line under a grid that listens to the keys, and the same as buttons.

    The line says, for screen readers too, where the ring is. A key presses the button of its name, so that there is
    one way to the server; a custom widget would not reach pages that get their tabs later.
    """
    pn = need_panel()
    line = pn.pane.HTML(
        _line("Keyboard: focus here, then arrow keys, Enter, Esc"), stylesheets=[STYLES, _LOOK], margin=(4, 6, 4, 0)
    )
    buttons = []
    for key, word in {**_SIGNS, "Enter": "Choose", "Add": "Add", "Escape": "Clear"}.items():
        button = pn.widgets.Button(
            name=word, css_classes=[f"wb-key-{key}"], stylesheets=[STYLES], margin=(4, 3), **_NAMES.get(key, {})
        )
        button.on_click(partial(_pressed, selection, key, layers, heads))
        buttons.append(button)

    def moved(event: Any) -> None:
        at = selection.hover
        if at is not None:
            line.object = _line(f"{head_name(*at)}: {describe(*at)}")

    selection.param.watch(moved, "hover")
    return wrapping(line, *buttons, gap="0", max_width=680)


_SIGNS = {"ArrowLeft": "←", "ArrowUp": "↑", "ArrowDown": "↓", "ArrowRight": "→"}
_NAMES: dict[str, dict[str, Any]] = {
    key: {"description": f"Move the ring: {key.removeprefix('Arrow').lower()}"} for key in _SIGNS
}
# Buttons live in shadow roots of their own, beside the line's.
_ON_KEY = (
    "const k=event.key==='Enter'&&event.shiftKey?'Add':event.key;"
    "const b=this.getRootNode().host.getRootNode().querySelector('.wb-key-'+k);"
    "if(b){event.preventDefault();b.shadowRoot.querySelector('button').click()}"
)


def _line(text: str) -> str:
    return (
        '<div class="pad" tabindex="0" role="application" aria-label="Choose a head with the arrow keys" '
        f'onkeydown="{html.escape(_ON_KEY)}">'
        f'<span aria-live="polite">{html.escape(text)}</span></div>'
    )


def _pressed(selection: Selection, key: str, layers: Sequence[int], heads: Sequence[int], _: Any) -> None:
    move(selection, "Enter" if key == "Add" else key, layers, heads, add=key == "Add")
