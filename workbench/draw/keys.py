"""Choosing a head without a pointer: arrow keys move a dashed ring over the grid, Enter chooses it (with Shift: adds),
Escape clears."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from workbench.draw import style
from workbench.draw.view import STYLES, need_panel
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
    """A focusable line under a grid that listens to the keys and says, for screen readers too, where the ring is."""
    import param

    pn = need_panel()

    class KeyPad(pn.reactive.ReactiveHTML):
        pressed = param.String(default="", doc="The last key and a counter, so that the same key twice is two events")
        said = param.String(default="")

        _template = (
            '<div id="pad" class="pad" tabindex="0" role="application" aria-label="Choose a head with the arrow keys" '
            "onkeydown=\"${script('down')}\"><span id='line' aria-live='polite'></span></div>"
        )
        _scripts: ClassVar[dict[str, str]] = {
            "render": "state.n = 0; self.said()",
            "said": "line.innerHTML = data.said",
            "down": """
                if (['ArrowUp','ArrowDown','ArrowLeft','ArrowRight','Enter','Escape'].includes(event.key)) {
                  event.preventDefault(); state.n += 1;
                  data.pressed = event.key + (event.shiftKey ? '+' : ' ') + state.n
                }""",
        }
        _stylesheets: ClassVar[list[str]] = [STYLES, _LOOK]

    hint = "<kbd>↑</kbd> <kbd>↓</kbd> <kbd>←</kbd> <kbd>→</kbd> move, <kbd>Enter</kbd> chooses, <kbd>Esc</kbd> clears"
    pad = KeyPad(said=f"Keyboard: {hint}", margin=(4, 0))

    def pressed(event: Any) -> None:
        key = event.new.rstrip("0123456789")
        move(selection, key.rstrip("+ "), layers, heads, add=key.endswith("+"))

    def moved(event: Any) -> None:
        at = selection.hover
        pad.said = f"<b>{head_name(*at)}</b> {html.escape(describe(*at))} · {hint}" if at is not None else f"Keyboard: {hint}"

    pad.param.watch(pressed, "pressed")
    selection.param.watch(moved, "hover")
    return pad
