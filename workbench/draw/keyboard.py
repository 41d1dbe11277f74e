"""Choosing a head without a pointer: arrow keys (or h j k l) move a violet ring over the grid,
Enter chooses it (with Shift: adds), Escape clears.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from workbench.draw import style
from workbench.draw.notify import as_one_message
from workbench.draw.view import STYLES, flow_row, html_pane, need_panel
from workbench.selection import Selection, head_name

_LOOK = style.sheet("keys.css")
_MOVES = {"ArrowUp": (-1, 0), "ArrowDown": (1, 0), "ArrowLeft": (0, -1), "ArrowRight": (0, 1)}


def move(
    selection: Selection,
    key: str,
    layers: Sequence[int],
    heads: Sequence[int],
    *,
    add: bool = False,
) -> None:
    """What one key does to the selection. At an edge the ring stays where it is."""
    at = selection.hover or selection.head or (layers[0], heads[0])
    if key in _MOVES:
        down, right = _MOVES[key]
        row = (
            min(max(list(layers).index(at[0]) + down, 0), len(layers) - 1) if at[0] in layers else 0
        )
        column = (
            min(max(list(heads).index(at[1]) + right, 0), len(heads) - 1) if at[1] in heads else 0
        )
        selection.hover = (layers[row], heads[column])
    elif key == "Enter":
        selection.choose(*at, add=add)
    elif key == "Escape":
        selection.param.update(hover=None)
        selection.clear()


def key_pad(
    selection: Selection,
    layers: Sequence[int],
    heads: Sequence[int],
    describe: Callable[[int, int], str],
) -> Any:
    """A focusable line under a grid that listens to the keys, and the same as buttons.

    A line beside it says, for screen readers too, where the ring is. A key presses the button of
    its name, so that there is one way to the server; a custom widget would not reach pages that get
    their tabs later.
    """
    pn = need_panel()
    look: dict[str, Any] = {"stylesheets": [STYLES, _LOOK], "sizing_mode": None}
    pad = html_pane(_PAD, margin=(4, 6, 4, 0), **look)
    # Beside the pad and not in it: what has the focus must not be replaced.
    said = html_pane(_live_text(""), margin=(4, 6), **look)
    buttons = []
    for key, word in {**_SIGNS, "Enter": "Choose", "Add": "Add", "Escape": "Clear"}.items():
        button = pn.widgets.Button(
            name=word, css_classes=[f"wb-key-{key}"], stylesheets=[STYLES], margin=(4, 3)
        )
        button.on_click(as_one_message(partial(_pressed, selection, key, layers, heads)))
        buttons.append(button)

    def moved(event: Any) -> None:
        at = selection.hover
        if at is not None:
            said.object = str(_live_text(f"{head_name(*at)}: {describe(*at)}"))

    selection.param.watch(moved, "hover")
    return flow_row(pad, *buttons, said, gap="0", max_width=680)


_SIGNS = {"ArrowLeft": "←", "ArrowUp": "↑", "ArrowDown": "↓", "ArrowRight": "→"}
# Buttons live in shadow roots of their own, beside the line's.
_ON_KEY = (
    "const k=event.key==='Enter'&&event.shiftKey?'Add'"
    ":({h:'ArrowLeft',j:'ArrowDown',k:'ArrowUp',l:'ArrowRight'})[event.key]||event.key;"
    "const b=this.getRootNode().host.getRootNode().querySelector('.wb-key-'+k);"
    "if(b){event.preventDefault();b.shadowRoot.querySelector('button').click()}"
)


_PAD = Markup(
    '<div class="pad" tabindex="0" role="application" aria-label="Choose a head with the arrow'
    ' keys" onkeydown="{}">Keyboard: focus here, then arrow keys or h j k l, Enter, Esc</div>'
).format(_ON_KEY)


def _live_text(text: str) -> Markup:
    return Markup('<span class="said" aria-live="polite">{}</span>').format(text)


def _pressed(
    selection: Selection, key: str, layers: Sequence[int], heads: Sequence[int], _: Any
) -> None:
    move(selection, "Enter" if key == "Add" else key, layers, heads, add=key == "Add")
