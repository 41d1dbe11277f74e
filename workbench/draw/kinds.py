"""The pictures that an item can be, by name."""

from __future__ import annotations

from workbench.draw.bar_charts import bars, labelled_bars, rate_bars
from workbench.draw.charts import dots, lines, matrix
from workbench.draw.head_grids import head_grid
from workbench.draw.long_tables import curves
from workbench.draw.neuron_map import neuron_map
from workbench.draw.patterns import pattern, pattern_grid
from workbench.draw.scatter import density_scatter, histogram, intervals

KINDS = {
    drawing.__name__: drawing
    for drawing in (
        bars,
        curves,
        density_scatter,
        dots,
        head_grid,
        histogram,
        intervals,
        labelled_bars,
        lines,
        matrix,
        neuron_map,
        pattern,
        pattern_grid,
        rate_bars,
    )
}
