"""Layers × tokens straight from a table or an array: tokens of a logit lens, magnitudes, effects.

All show `WINDOW` tokens around the chosen one; `layer_token_table` has cells of any other kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from workbench.draw.layer_token_table import WINDOW, Cell, token_table, window
from workbench.draw.view import empty_state
from workbench.wording import percent, quoted

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def lens_table(
    choices: pd.DataFrame, tokens: Sequence[str], chosen: tuple[int | None, int], *, caption: str
) -> Markup:
    """The likeliest token in each cell, coloured by its probability; hovering lists the next ones.

    Args:
        choices: columns layer, pos, rank (from 1), token and probability.
        tokens: the whole text.
        here: the chosen layer and token.
        caption: what the table shows, for those who hear it.
    """
    columns = window(len(tokens), chosen[1])
    shown = choices[choices["pos"].isin(columns)].sort_values("rank")
    first: dict[tuple[int, int], tuple[str, float]] = {}
    tips: dict[tuple[int, int], list[str]] = {}
    names = ("layer", "pos", "rank", "token", "probability")
    for layer, pos, rank, token, p in zip(*(shown[name] for name in names), strict=True):
        first.setdefault((layer, pos), (str(token), float(p)))
        lines = tips.setdefault((layer, pos), [f"layer {layer}, token {pos}"])
        lines.append(f"{rank}. {quoted(token)} {percent(p)}")
    cells = {
        at: Cell(token, p, "\n".join(tips[at]), token=True) for at, (token, p) in first.items()
    }
    return token_table(tokens, cells, columns=columns, chosen=chosen, caption=caption)


def magnitude_table(
    values: xr.DataArray, tokens: Sequence[str], chosen: tuple[int | None, int], *, caption: str
) -> Markup:
    """Numbers from zero up, darker the larger. The colour is logarithmic: the first token's are
    often a hundred times the others'.

    Args:
        values: (layer, pos); what is not finite is a dash.
        tokens, here, caption: as in `lens_table`.
    """
    numbers = _numbers(values)
    known = [value for value in numbers.values() if value > 0]
    low, high = (math.log(min(known)), math.log(max(known))) if known else (0.0, 1.0)

    def cell(layer: int, pos: int, value: float) -> Cell:
        share = (math.log(value) - low) / (high - low) if value > 0 and high > low else 0.0
        token = tokens[pos].replace("\n", "↵")
        tip = f"layer {layer}, token {pos} {quoted(token)}\n{value:.4f}"
        return Cell(f"{value:,.0f}" if value >= 100 else f"{value:.3g}", share, tip)

    columns = window(len(tokens), chosen[1])
    return token_table(
        tokens, _cells_in(numbers, columns, cell), columns=columns, chosen=chosen, caption=caption
    )


def effect_table(
    values: xr.DataArray,
    tokens: Sequence[str],
    chosen: tuple[int | None, int],
    *,
    caption: str,
    unit: str,
    signed: bool,
) -> Markup:
    """Numbers, darker the further from zero: what a change at one place does, or a gradient there.
    Where none was measured among the tokens shown, that is said.

    Args:
        values: dims (layer, pos), coordinates of both; not finite: not measured.
        tokens, caption: as in `lens_table`.
        here: the chosen layer and token; as far as there are numbers, the token is among those
            shown.
        signed: numbers have a sign and one decimal; otherwise they are sizes, with two digits.
    """
    numbers = _numbers(values)
    top = max(map(abs, numbers.values()), default=0.0) or 1.0
    first = min((at for _, at in numbers), default=0)

    def cell(layer: int, pos: int, value: float) -> Cell:
        tip = f"layer {layer}, token {pos}: {value:{'+' if signed else ''}.4f} {unit}"
        rounded = f"{value:+.1f}" if abs(value) >= 0.05 else "0"
        return Cell(rounded if signed else f"{value:.2g}", abs(value) / top, tip)

    columns = window(len(tokens), max(chosen[1], first + WINDOW // 2 - 1))
    shown = _cells_in(numbers, columns, cell)
    if not shown:
        return empty_state(
            "Nothing was measured at these tokens.", f"Choose a token from number {first} on."
        )
    return token_table(tokens, shown, columns=columns, chosen=chosen, caption=f"{caption} ({unit})")


def _numbers(values: xr.DataArray) -> dict[tuple[int, int], float]:
    """What is finite, by layer and position."""
    numbers = values.transpose("layer", "pos")
    return {
        (int(layer), int(at)): float(value)
        for layer, row in zip(numbers["layer"].values, numbers.values, strict=True)
        for at, value in zip(numbers["pos"].values, row, strict=True)
        if math.isfinite(value)
    }


def _cells_in(
    numbers: Mapping[tuple[int, int], float],
    columns: range,
    cell: Callable[[int, int, float], Cell],
) -> dict[tuple[int, int], Cell]:
    return {at: cell(*at, value) for at, value in numbers.items() if at[1] in columns}
