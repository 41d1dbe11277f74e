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
I want layers × neurons              -> neuron_map.py
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

from workbench.draw.bar_charts import bars, fill_bars, labelled_bars, rate_bars
from workbench.draw.cards import card
from workbench.draw.charts import dots, lines, matrix
from workbench.draw.head_grids import Scale, head_grid, link_grid, outline_key
from workbench.draw.items import Picture, grids, titled_grids
from workbench.draw.keyboard import key_pad
from workbench.draw.layer_token_table import token_table, window_note
from workbench.draw.layout import download_button
from workbench.draw.long_tables import curves
from workbench.draw.neuron_map import kind_key, neuron_map
from workbench.draw.patterns import fill_pattern, pattern, pattern_grid
from workbench.draw.scatter import density_scatter, fill_histogram, histogram, intervals
from workbench.draw.steering import steer_code, steer_form
from workbench.draw.token_grids import effect_table, lens_table, magnitude_table
from workbench.draw.tokens import Span, peak_strips, token_strip
from workbench.draw.updates import fill_grid, fill_lines
from workbench.draw.view import View, empty_state, paragraph

__all__ = [
    "Picture",
    "Scale",
    "Span",
    "View",
    "bars",
    "card",
    "curves",
    "density_scatter",
    "dots",
    "download_button",
    "effect_table",
    "empty_state",
    "fill_bars",
    "fill_grid",
    "fill_histogram",
    "fill_lines",
    "fill_pattern",
    "grids",
    "head_grid",
    "histogram",
    "intervals",
    "key_pad",
    "kind_key",
    "labelled_bars",
    "lens_table",
    "lines",
    "link_grid",
    "magnitude_table",
    "matrix",
    "neuron_map",
    "outline_key",
    "paragraph",
    "pattern",
    "pattern_grid",
    "peak_strips",
    "rate_bars",
    "steer_code",
    "steer_form",
    "titled_grids",
    "token_strip",
    "token_table",
    "window_note",
]
