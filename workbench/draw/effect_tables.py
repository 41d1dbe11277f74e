"""Layers × tokens with a number in each cell: what a change at one place does, or a gradient there.

`layer_token_table` has cells of any other kind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from workbench.draw.layer_token_table import WINDOW, Cell, token_table, window
from workbench.draw.view import note

if TYPE_CHECKING:
    import xarray as xr


def effect_table(
    values: xr.DataArray,
    tokens: Sequence[str],
    here: tuple[int | None, int],
    *,
    caption: str,
    unit: str,
    signed: bool,
) -> Markup:
    """Numbers by layer and token, darker the further from zero; where none was measured among the
    tokens shown, that is said.

    Args:
        values: dims (layer, pos), coordinates of both; not finite: not measured.
        tokens: the whole text.
        here: the chosen layer and token; as far as there are numbers, the token is among those
            shown.
        caption: what the table shows, for those who hear it.
        signed: numbers have a sign and one decimal; otherwise they are sizes, with two digits.
    """
    numbers = values.transpose("layer", "pos")
    cells = {
        (int(layer), int(at)): float(value)
        for layer, row in zip(numbers["layer"].values, numbers.values, strict=True)
        for at, value in zip(numbers["pos"].values, row, strict=True)
        if math.isfinite(value)
    }
    top = max((abs(value) for value in cells.values()), default=0.0) or 1.0
    first = min((at for _, at in cells), default=0)
    columns = window(len(tokens), max(here[1], first + WINDOW // 2 - 1))
    shown = {
        at: Cell(_text(value, signed), abs(value) / top, _tip(*at, value, signed, unit))
        for at, value in cells.items()
        if at[1] in columns
    }
    if not shown:
        return note(
            "Nothing was measured at these tokens.", f"Choose a token from number {first} on."
        )
    return token_table(tokens, shown, columns=columns, here=here, caption=f"{caption} ({unit})")


def _text(value: float, signed: bool) -> str:
    if not signed:
        return f"{value:.2g}"
    return f"{value:+.1f}" if abs(value) >= 0.05 else "0"


def _tip(layer: int, pos: int, value: float, signed: bool, unit: str) -> str:
    return f"layer {layer}, token {pos}: {value:{'+' if signed else ''}.4f} {unit}"
