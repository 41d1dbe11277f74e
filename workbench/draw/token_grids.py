"""Layers × tokens straight from a table or an array: the tokens of a logit lens, and magnitudes.

Both show `WINDOW` tokens around the chosen one; `layer_token_table` has cells of any other kind.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from workbench.draw.layer_token_table import Cell, token_table, window

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def lens_table(
    choices: pd.DataFrame, tokens: Sequence[str], here: tuple[int | None, int], *, caption: str
) -> Markup:
    """The likeliest token in each cell, coloured by its probability; hovering lists the next ones.

    Args:
        choices: columns layer, pos, rank (from 1), token and probability.
        tokens: the whole text.
        here: the chosen layer and token.
        caption: what the table shows, for those who hear it.
    """
    columns = window(len(tokens), here[1])
    shown = choices[choices["pos"].isin(columns)].sort_values("rank")
    first: dict[tuple[int, int], tuple[str, float]] = {}
    tips: dict[tuple[int, int], list[str]] = {}
    names = ("layer", "pos", "rank", "token", "probability")
    for layer, pos, rank, token, p in zip(*(shown[name] for name in names), strict=True):
        first.setdefault((layer, pos), (str(token), float(p)))
        lines = tips.setdefault((layer, pos), [f"layer {layer}, token {pos}"])
        lines.append(f"{rank}. “{token}” {100 * p:.1f} %")
    cells = {
        at: Cell(token, p, "\n".join(tips[at]), token=True) for at, (token, p) in first.items()
    }
    return token_table(tokens, cells, columns=columns, here=here, caption=caption)


def magnitude_table(
    values: xr.DataArray, tokens: Sequence[str], here: tuple[int | None, int], *, caption: str
) -> Markup:
    """Numbers from zero up, darker the larger. The colour is logarithmic: the first token's are
    often a hundred times the others'.

    Args:
        values: (layer, pos); what is not finite is a dash.
        tokens, here, caption: as in `lens_table`.
    """
    known = [float(v) for v in values.values.ravel() if math.isfinite(v) and v > 0]
    low, high = (math.log(min(known)), math.log(max(known))) if known else (0.0, 1.0)
    columns = window(len(tokens), here[1])
    cells = {}
    for i, layer in enumerate(int(v) for v in values["layer"].values):
        for pos in columns:
            v = float(values.values[i, pos])
            if math.isfinite(v):
                share = (math.log(v) - low) / (high - low) if v > 0 and high > low else 0.0
                token = tokens[pos].replace("\n", "↵")
                tip = f"layer {layer}, token {pos} “{token}”\n{v:.4f}"
                cells[layer, pos] = Cell(f"{v:,.0f}" if v >= 100 else f"{v:.3g}", share, tip)
    return token_table(tokens, cells, columns=columns, here=here, caption=caption)
