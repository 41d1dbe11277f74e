"""The drawing vocabulary: every picture of the workbench is made of these.

I want a colour                      -> colour.py   (one signed scale, one for probabilities, fixed
                                                    category colours)
I want layers × heads                -> head_grids.py
I want text with a value per token   -> tokens.py
I want layers × tokens               -> layer_token_table.py (and which cell was clicked),
                                        token_grids.py (from an array)
I want one head, say, in numbers     -> cards.py
I want attention patterns            -> patterns.py
I want bars, curves, matrices        -> bar_charts.py, charts.py, long_tables.py (curves)
I want a passage and what is said    -> passage.py
I want to steer with a feature       -> steering.py
I want intervals, clouds, histograms -> scatter.py
I want a click that chooses a row    -> linking.py, layer_token_table.py (a cell, a token)
I want columns, boxes, a file's button -> layout.py
I want words, tables, live widgets   -> view.py     (a View has a live form and a still one for
                                                    reports)
I want a picture to be drawn later   -> items.py (what it is drawn from), updates.py (sent)
I want a picture drawn and kept      -> figure.py   (as a Bokeh figure, or its JSON; then link_grid,
                                                    fill_bars)
I want axes that look like ours      -> style.py

Everything heavy (HoloViews, Panel, matplotlib) is imported inside functions, since analyses import
this room to say what they draw long before anybody looks.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_DOOR = {
    "head_grid": "head_grids",
    "Picture": "items",
    "grids": "items",
    "titled_grids": "items",
    "Scale": "head_grids",
    "link_grid": "head_grids",
    "pattern_grid": "patterns",
    "pattern": "patterns",
    "fill_pattern": "patterns",
    "token_table": "layer_token_table",
    "window_note": "layer_token_table",
    "lens_table": "token_grids",
    "magnitude_table": "token_grids",
    "effect_table": "token_grids",
    "card": "cards",
    "outline_key": "head_grids",
    "token_strip": "tokens",
    "peak_strips": "tokens",
    "steer_code": "steering",
    "steer_form": "steering",
    "Span": "tokens",
    "key_pad": "keyboard",
    "download_button": "layout",
    "rate_bars": "bar_charts",
    "dots": "charts",
    "lines": "charts",
    "curves": "long_tables",
    "bars": "bar_charts",
    "fill_bars": "bar_charts",
    "fill_lines": "updates",
    "fill_grid": "updates",
    "matrix": "charts",
    "labelled_bars": "bar_charts",
    "intervals": "scatter",
    "density_scatter": "scatter",
    "histogram": "scatter",
    "fill_histogram": "scatter",
    "View": "view",
    "empty_state": "view",
    "paragraph": "view",
}
__all__ = list(_DOOR)


def __getattr__(name: str) -> Any:
    if name not in _DOOR:
        raise AttributeError(f"module 'workbench.draw' has no attribute {name!r}")
    value = getattr(import_module(f"workbench.draw.{_DOOR[name]}"), name)
    globals()[name] = value
    return value
